"""Model folders for other programs: their files are there, and our scripts open all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plyfile
import pytest
import torch

from arguments import ModelParams, MotionParams, load_config
from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.splat_folder import LAYOUTS, checkpoint_of, fitted, write_checkpoint, write_model_folder
from gaussian_renderer.splat_source import open_source
from gaussian_renderer.trained import open_trained
from scene.layer_files import LayerTable
from scene.motion import MotionSetup
from scene.motion.deformation_field import DeformationField
from scene.motion.deformation_network import DeformationNetwork
from tests.blobs import write_blob_run
from utils.errors import UserError
from utils.files import load_torch, read_json


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_blob_run(tmp_path_factory.mktemp("folders"))


def written(run, tmp_path, layout, **changes):
    """A folder of that layout made of the run."""
    source = fitted(replace(open_source(run), **changes), layout)
    write_model_folder(tmp_path / layout, source, layout, str(run.parent / "data"))
    return tmp_path / layout


def columns(folder):
    return plyfile.PlyData.read(str(folder / "point_cloud/iteration_30/point_cloud.ply"))["vertex"].data.dtype.names


def of_three(order):
    """Three layers of 40 Gaussians, which lie in this order."""
    return LayerTable(("bones", "muscles", "skin"), np.repeat(np.array(order, np.int32), 40))


@pytest.mark.parametrize("layout", ["ours", *LAYOUTS])
def test_our_scripts_open_every_layout(run, tmp_path, layout):
    folder = written(run, tmp_path, layout)
    options = replace(load_config(folder, ModelParams), model_path=str(folder), device="cpu")
    trained = open_trained(options)
    original = open_source(run).model
    assert torch.equal(trained.model.means, original.means)
    assert len(trained.scene.train) == 7 and len(trained.scene.test) == 1
    known = layout == "ours" or LAYOUTS[layout].features is not None
    assert trained.model.feature_dim == (4 if known else 0)
    torch.testing.assert_close(trained.model.at(0.3).means, original.means)


@pytest.mark.parametrize(("layout", "prefix"), [("feature3dgs", "semantic_"), ("label3dgs", "label_"), ("dgd", "sem_")])
def test_columns_are_called_as_the_program_does(run, tmp_path, layout, prefix):
    assert columns(written(run, tmp_path, layout))[-4:] == tuple(f"{prefix}{index}" for index in range(4))


def test_graphdecos_folder(run, tmp_path):
    folder = written(run, tmp_path, "graphdeco")
    line = (folder / "cfg_args").read_text()
    assert line.startswith("Namespace(sh_degree=0,") and "\n" not in line.strip()
    names = columns(folder)
    assert names[:6] == ("x", "y", "z", "nx", "ny", "nz") and names[-1] == "rot_3" and len(names) == 17
    cameras = read_json(folder / "cameras.json")
    assert len(cameras) == 8 and cameras[0]["img_name"] == "test/000.png"
    assert (folder / "input.ply").is_file()


def test_dgds_folder_has_degree_3_and_a_network_that_rests(run, tmp_path):
    folder = written(run, tmp_path, "dgd")
    assert sum(name.startswith("f_rest_") for name in columns(folder)) == 45
    network = DeformationNetwork()
    network.load_state_dict(load_torch(folder / "deform/iteration_30/deform.pth"))
    assert not network.gaussian_warp.weight.any()
    assert "semantic_dimension=4" in (folder / "cfg_args").read_text()


def moving(run, radius=1.0, **options):
    torch.manual_seed(0)
    setup = MotionSetup(MotionParams(is_6dof=True, **options), radius=radius)
    return open_source(run).model.with_motion(DeformationField(DeformationNetwork(is_6dof=True), setup))


@pytest.mark.parametrize("layout", ["ours", "deformable3dgs", "dgd"])
def test_a_motion_goes_along(run, tmp_path, layout):
    model = moving(run, compat_quat=True)
    folder = written(run, tmp_path, layout, model=model)
    found = open_source(folder).model
    torch.testing.assert_close(found.at(0.7).means, model.at(0.7).means.detach())
    if layout != "ours":
        assert "is_6dof=True" in (folder / "cfg_args").read_text()
        (folder / "deform/iteration_30/motion.json").unlink()  # as the other program leaves it
        foreign = open_source(folder)
        torch.testing.assert_close(foreign.model.at(0.7).means, model.at(0.7).means.detach())
        write_model_folder(tmp_path / "again", foreign, "ours", "")
        torch.testing.assert_close(open_source(tmp_path / "again").model.at(0.7).means, foreign.model.at(0.7).means)


def test_a_network_in_a_ball_of_its_own_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="train with --compat_scale"):
        written(run, tmp_path, "dgd", model=moving(run, radius=3.0))


def test_a_decoder_goes_along_or_is_applied(run, tmp_path, capsys):
    decoder = LinearDecoder(4, 9)
    folder = written(run, tmp_path, "feature3dgs", decoder=decoder)
    torch.testing.assert_close(open_source(folder).decoder.linear.weight, decoder.linear.weight.detach())
    assert "speedup=True" in (folder / "cfg_args").read_text()
    folder = written(run, tmp_path, "dgd", decoder=decoder)
    expected = decoder(open_source(run).model.features).detach()
    torch.testing.assert_close(open_source(folder).model.features, expected)
    assert "9 wide" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layout", "count"), [("graphdeco", 12), ("feature3dgs", 13), ("label3dgs", 13), ("multilayer", 18)]
)
def test_checkpoints_have_as_many_values_as_the_program_reads(run, tmp_path, layout, count):
    source = fitted(open_source(run), layout)
    write_checkpoint(checkpoint_of(tmp_path, source), source, layout)
    values, iteration = load_torch(tmp_path / "chkpnt30.pth")
    assert (len(values), iteration) == (count, 30)
    assert values[11] == pytest.approx(1.1 * 4, rel=0.2)  # the cameras stand on a circle of radius 4


def test_layers_of_a_checkpoint_are_newest_first(run, tmp_path):
    source = open_source(run)
    write_checkpoint(
        tmp_path / "a.pth", fitted(replace(source, layers=of_three([0, 1, 2])), "multilayer"), "multilayer"
    )
    values = load_torch(tmp_path / "a.pth")[0]
    means = source.model.means
    assert torch.equal(values[1], means[80:]) and torch.equal(values[12][0], means[40:80])
    assert torch.equal(values[12][1], means[:40])


def test_a_multilayer_folder_has_the_column_and_its_rows_lie_oldest_first(run, tmp_path):
    folder = written(run, tmp_path, "multilayer", layers=of_three([2, 0, 1]))
    path = folder / "point_cloud/iteration_30/point_cloud.ply"
    column = plyfile.PlyData.read(str(path))["vertex"]["layer"]
    assert columns(folder)[-1] == "layer" and column.dtype == "int32"
    assert column.tolist() == [0] * 40 + [1] * 40 + [2] * 40
    means, found = open_source(run).model.means, open_source(folder)
    assert torch.equal(found.model.means, torch.cat([means[40:80], means[80:], means[:40]]))
    assert found.layers.names == ("bones", "muscles", "skin") and found.layers.counts == [40] * 3
    folder = written(run, tmp_path, "ours", layers=of_three([2, 0, 1]))
    assert "layer" not in columns(folder) and open_source(folder).layers.names == ("bones", "muscles", "skin")


def test_without_a_data_set_it_is_said(run, tmp_path, capsys):
    source = replace(open_source(run / "point_cloud/iteration_30/point_cloud.ply"), folder=None)
    write_model_folder(tmp_path / "a", source, "ours", "")
    assert "no data set is known" in capsys.readouterr().err and not (tmp_path / "a/cameras.json").exists()
