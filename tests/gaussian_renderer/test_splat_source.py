"""Gaussians come in from files, checkpoints, clips and model folders of several programs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.splat_source import chosen_rows, open_source, read_class_names
from scene.checkpoint import save_checkpoint
from scene.formats import write_splats
from scene.formats.ply import write_ply
from scene.gaussian_model import GaussianModel
from scene.layer_files import save_layers
from scene.layers import FrozenLayers
from scene.legacy_checkpoint import LegacyState, save_legacy_checkpoint
from scene.motion.deformation_network import DeformationNetwork
from tests.clips import published
from tests.layer_models import PER_BALL, ball, frozen, lists_of
from tests.scene.formats.arrays import cloud
from utils.errors import UserError
from utils.files import save_torch, write_json
from utils.npz import write_npz


def params_of(arrays):
    return {name: torch.from_numpy(value) for name, value in arrays.named().items()}


def saved(folder, arrays, prefix="semantic_", iteration=30):
    write_ply(folder / f"point_cloud/iteration_{iteration}/point_cloud.ply", arrays, prefix)
    return folder


@pytest.mark.parametrize("ending", [".ply", ".compressed.ply", ".splat"])
def test_files(tmp_path, ending):
    write_splats(tmp_path / f"a{ending}", cloud(8, degree=0))
    source = open_source(tmp_path / f"a{ending}")
    assert len(source.model) == 8 and source.folder is None and source.layers is None
    assert not any(parameter.requires_grad for parameter in source.model.params.values())


def test_a_folder_of_feature_3dgs(tmp_path):
    saved(tmp_path, cloud(8, feature_dim=4), iteration=7000)
    saved(tmp_path, cloud(6, feature_dim=4), iteration=30000)
    LinearDecoder(4, 16).save(tmp_path / "decoder_chkpnt30000.pth")
    source = open_source(tmp_path)
    assert (source.iteration, len(source.model), source.decoder.teacher_dim) == (30000, 6, 16)
    assert (len(open_source(tmp_path, 7000).model), open_source(tmp_path, 7000).decoder) == (8, None)
    LinearDecoder(5, 16).save(tmp_path / "decoder_chkpnt30000.pth")
    with pytest.raises(UserError, match="decodes width 5, the Gaussians have 4"):
        open_source(tmp_path)


def test_a_folder_of_label_3dgs(tmp_path):
    saved(tmp_path, cloud(8, feature_dim=3), "label_")
    assert open_source(tmp_path).classes == ("class_0", "class_1", "class_2")
    assert open_source(tmp_path, classes=("a", "b", "c")).classes == ("a", "b", "c")
    with pytest.raises(UserError, match="has 2 names, .* has 3 channels"):
        open_source(tmp_path, classes=("a", "b"))
    write_json(tmp_path / "label_classes.json", ["sky", "road", "car"])
    assert open_source(tmp_path).classes == ("sky", "road", "car")


def test_a_folder_of_dgd(tmp_path):
    saved(tmp_path, cloud(8, feature_dim=3), "sem_")
    save_torch(tmp_path / "deform/iteration_30/deform.pth", DeformationNetwork(is_blender=True).state_dict())
    source = open_source(tmp_path)
    assert source.model.feature_dim == 3 and source.model.motion.kind == "deform_mlp"
    beside = open_source(tmp_path / "point_cloud/iteration_30/point_cloud.ply")
    assert beside.model.motion.kind == "deform_mlp"


def test_checkpoints(tmp_path):
    arrays = cloud(8, degree=2, feature_dim=3)
    state = LegacyState(params_of(arrays), iteration=9, active_sh_degree=1, extent=3.0)
    save_legacy_checkpoint(tmp_path / "run" / "chkpnt9.pth", state)
    for path in (tmp_path / "run", tmp_path / "run" / "chkpnt9.pth"):
        source = open_source(path)
        assert (source.iteration, source.extent, source.model.active_sh_degree) == (9, 3.0, 1)
        np.testing.assert_array_equal(source.model.to_arrays().semantic_feature, arrays.semantic_feature)
    model = GaussianModel(params_of(arrays))
    save_checkpoint(tmp_path / "own.pth", {"iteration": 4, "model": model.state_dict()})
    assert open_source(tmp_path / "own.pth").iteration == 4


def test_layers_of_a_checkpoint_are_one_model(tmp_path):
    own, old = GaussianModel(params_of(cloud(5, degree=3))), params_of(cloud(3, degree=1))
    state = own.state_dict() | {"layers": [{"name": "bones", "tensors": old}]}
    save_checkpoint(tmp_path / "a.pth", {"iteration": 4, "model": state})
    source = open_source(tmp_path / "a.pth")
    np.testing.assert_array_equal(source.layers.numbers, [0, 0, 0, 1, 1, 1, 1, 1])
    assert source.layers.names == ("bones", tmp_path.name)
    assert source.model.max_sh_degree == 3 and torch.equal(source.model.means[:3], old["xyz"])
    assert len(source.rows(source.layers.numbers == 1).model) == 5


@pytest.mark.parametrize("program", ["ours", "tuple", "checkpoint"])
def test_layer_files_and_checkpoints_of_several_layers(tmp_path, program):
    """The same Gaussians in three forms: our layer file, the tuple of six lists, the 18 values."""
    path, top, old = tmp_path / "layer_save_9.pth", ball(0, 1).with_features(None), ball(1, 3).with_features(None)
    if program == "ours":
        save_layers(path, top.with_layers(FrozenLayers((frozen("bones", old),))), "skin")
    elif program == "tuple":
        torch.save(lists_of(top, old), path)
    else:
        newest = {name: value.detach() for name, value in top.params.items()}
        save_legacy_checkpoint(path, LegacyState(newest, 9, 1, 3.0, layers=[old.params]))
    source = open_source(path)
    np.testing.assert_array_equal(source.layers.numbers, np.repeat([0, 1], PER_BALL))
    assert torch.equal(source.model.means, torch.cat([old.means, top.means]))
    assert torch.equal(source.model.params["f_rest"][:PER_BALL], old.params["f_rest"])
    assert source.layers.names == {"ours": ("bones", "skin"), "tuple": ("layer0", "layer1")}.get(
        program, ("layer0", tmp_path.name)
    )


@pytest.mark.parametrize(
    "content", [{"format": "splat-distill layers", "version": 99}, ([], [], [], [], [], []), (1, 2)]
)
def test_damaged_layer_files_are_one_line(tmp_path, content):
    torch.save(content, tmp_path / "layer_save_9.pth")
    with pytest.raises(UserError, match=r"layer_save_9\.pth"):
        open_source(tmp_path / "layer_save_9.pth")


def test_a_clip_moves(tmp_path):
    clip = published()
    write_npz(tmp_path / "params.npz", clip, compress=False)
    source = open_source(tmp_path / "params.npz")
    last = source.model.at(1.0).means.numpy()
    np.testing.assert_allclose(last, clip["means3D"][-1], atol=1e-6)


def test_what_is_none_of_these(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        open_source(tmp_path / "none")
    with pytest.raises(UserError, match=r"no point_cloud/iteration_\*/point_cloud.ply and no chkpnt"):
        open_source(tmp_path)
    (tmp_path / "a.pth").write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="a.pth cannot be loaded"):
        open_source(tmp_path / "a.pth")
    (tmp_path / "a.obj").write_text("v 1 2 3")
    with pytest.raises(UserError, match="known endings"):
        open_source(tmp_path / "a.obj")
    state = {"iteration": 1, "model": {"params": {"xyz": torch.zeros(2, 3)}, "active_sh_degree": 0}}
    save_checkpoint(tmp_path / "b.pth", state)
    with pytest.raises(UserError, match="no whole Gaussians"):
        open_source(tmp_path / "b.pth")
    broken = params_of(cloud(4)) | {"scaling": torch.zeros(3, 3)}
    save_checkpoint(tmp_path / "b.pth", {"iteration": 1, "model": {"params": broken, "active_sh_degree": 0}})
    with pytest.raises(UserError, match="is no whole model"):
        open_source(tmp_path / "b.pth")


def test_selections(tmp_path):
    labels = np.array([0, 1, 2, 2, 0])
    write_npz(tmp_path / "selection.npz", {"labels": labels, "mask": labels > 0}, compress=True)
    path = tmp_path / "selection.npz"
    np.testing.assert_array_equal(chosen_rows(path, 5, (), False), [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(chosen_rows(path, 5, (2,), False), [0, 0, 1, 1, 0])
    np.testing.assert_array_equal(chosen_rows(path, 5, (2,), True), [1, 1, 0, 0, 1])
    with pytest.raises(UserError, match="is about 5 Gaussians, the model has 6"):
        chosen_rows(path, 6, (), False)
    write_npz(path, {"score": np.zeros(5)}, compress=True)
    with pytest.raises(UserError, match="has no labels or mask"):
        chosen_rows(path, 5, (), False)


def test_names_of_classes(tmp_path):
    (tmp_path / "a.txt").write_text("sky\nroad \n")
    assert read_class_names(tmp_path / "a.txt") == ("sky", "road")
    (tmp_path / "a.json").write_text('["sky", "traffic light"]')
    assert read_class_names(tmp_path / "a.json") == ("sky", "traffic light")
    for text in ('{"a": 1}', "[]", "[1]", '[""]'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(UserError, match="expected names of classes"):
            read_class_names(tmp_path / "a.json")
