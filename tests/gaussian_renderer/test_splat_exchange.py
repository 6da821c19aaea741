"""`convert.py --mode splats`: what is chosen, merged and written."""

from __future__ import annotations

import numpy as np
import plyfile
import pytest
import torch

from arguments import ExchangeParams
from arguments.convert_params import ConvertParams
from gaussian_renderer.splat_exchange import check_exchange, is_file, prepared, write_prepared
from gaussian_renderer.splat_source import open_source
from scene.formats import read_splats, write_splats
from scene.formats.ply import read_layer_numbers
from tests.clips import published
from tests.scene.formats.arrays import cloud, differences
from utils.errors import UserError
from utils.files import load_torch, save_torch, write_json
from utils.npz import write_npz


def convert(source, output, overwrite=False, iteration=-1, **wishes):
    options = ConvertParams(source_path=str(source), output=str(output), overwrite=overwrite, iteration=iteration)
    wishes = ExchangeParams(**wishes)
    check_exchange(options, wishes)
    write_prepared(prepared(options, wishes), options, wishes)


@pytest.fixture
def plain(tmp_path):
    write_splats(tmp_path / "plain.ply", cloud(60, degree=2, feature_dim=3))
    return tmp_path / "plain.ply"


@pytest.mark.parametrize("ending", [".ply", ".compressed.ply", ".splat", ".pth"])
def test_any_file_becomes_any_other(plain, tmp_path, ending):
    convert(plain, tmp_path / f"there{ending}")
    convert(tmp_path / f"there{ending}", tmp_path / "back.ply")
    found, original = read_splats(tmp_path / "back.ply"), read_splats(plain)
    degree = 0 if ending == ".splat" else 2
    convert(plain, tmp_path / "reduced.ply", max_sh_degree=degree)
    near = differences(found, read_splats(tmp_path / "reduced.ply"))
    step = np.ptp(original.xyz) / 1023
    assert near.xyz < step and near.scaling < step and near.color < 3e-3 and near.rotation < 1e-4
    if ending in (".ply", ".pth"):
        np.testing.assert_array_equal(found.semantic_feature, original.semantic_feature)


def test_a_selection_and_the_rest(plain, tmp_path):
    labels = np.arange(60) % 3
    write_npz(tmp_path / "selection.npz", {"labels": labels, "mask": labels > 0}, compress=True)
    shared = {"selection": str(tmp_path / "selection.npz")}
    original = read_splats(plain)
    for wishes, expected in (
        ({}, labels > 0),
        ({"labels": (2,)}, labels == 2),
        ({"labels": (2,), "invert": True}, labels != 2),
    ):
        convert(plain, tmp_path / "part.ply", overwrite=True, **shared, **wishes)
        np.testing.assert_array_equal(read_splats(tmp_path / "part.ply").xyz, original.xyz[expected])
    with pytest.raises(UserError, match="none of its 60 Gaussians is chosen"):
        convert(plain, tmp_path / "none.ply", **shared, labels=(9,))
    assert not (tmp_path / "none.ply").exists()


def test_layers(tmp_path):
    write_splats(tmp_path / "point_cloud.ply", cloud(10, degree=0))
    write_json(tmp_path / "layers.json", {"layers": [{"name": "bones", "count": 4}, {"name": "skin", "count": 6}]})
    convert(tmp_path / "point_cloud.ply", tmp_path / "out" / "old.ply", layers=("0",))
    assert len(read_splats(tmp_path / "out" / "old.ply")) == 4
    convert(tmp_path / "point_cloud.ply", tmp_path / "out" / "new.ply", layers=("skin",))
    assert len(read_splats(tmp_path / "out" / "new.ply")) == 6
    convert(tmp_path / "point_cloud.ply", tmp_path / "out" / "both.ply", layout="multilayer")
    assert read_layer_numbers(tmp_path / "out" / "both.ply").tolist() == [0] * 4 + [1] * 6
    convert(tmp_path / "point_cloud.ply", tmp_path / "out" / "a.pth", layout="multilayer")
    assert [len(value) for value in load_torch(tmp_path / "out" / "a.pth")[0][12]] == [4]


def test_merging(plain, tmp_path, capsys):
    write_splats(tmp_path / "b.splat", cloud(7, degree=0, seed=5))
    convert(plain, tmp_path / "both.ply", merge=(str(tmp_path / "b.splat"), str(plain)))
    both = read_splats(tmp_path / "both.ply")
    assert len(both) == 60 + 7 + 60 and both.f_rest.shape[1] == 8
    assert both.semantic_feature is None and "left out" in capsys.readouterr().err


def test_cleaning(tmp_path):
    arrays = cloud(200, degree=0)
    arrays.opacity[:] = 1
    arrays.opacity[3], arrays.xyz[5] = -9, 900
    write_splats(tmp_path / "a.ply", arrays)
    convert(tmp_path / "a.ply", tmp_path / "b.ply", clean=True)
    assert len(read_splats(tmp_path / "b.ply")) == 198


def columns(path):
    return plyfile.PlyData.read(str(path))["vertex"].data.dtype.names


def test_features_can_be_left_out_or_renamed(plain, tmp_path):
    convert(plain, tmp_path / "a.ply", features=False)
    assert columns(tmp_path / "a.ply")[-1] == "rot_3"
    convert(plain, tmp_path / "b.ply", layout="dgd")
    assert columns(tmp_path / "b.ply")[-1] == "sem_2" and "f_rest_44" in columns(tmp_path / "b.ply")
    convert(plain, tmp_path / "c.ply", layout="graphdeco")
    assert columns(tmp_path / "c.ply")[-1] == "rot_3"


def test_a_clip_is_taken_at_a_moment(tmp_path):
    clip = published()
    write_npz(tmp_path / "params.npz", clip, compress=False)
    convert(tmp_path / "params.npz", tmp_path / "end.ply", time=1.0)
    np.testing.assert_allclose(read_splats(tmp_path / "end.ply").xyz, clip["means3D"][-1], atol=1e-6)
    convert(tmp_path / "params.npz", tmp_path / "model")
    assert open_source(tmp_path / "model").model.motion.kind == "per_timestep"


def test_adam_goes_on_where_a_checkpoint_stopped(tmp_path):
    moments = {"exp_avg": torch.ones(60, 3), "exp_avg_sq": torch.full((60, 3), 2.0), "step": torch.tensor(5.0)}
    write_splats(tmp_path / "a.ply", cloud(60, degree=2))
    convert(tmp_path / "a.ply", tmp_path / "a.pth")
    content = load_torch(tmp_path / "a.pth")
    content[0][10]["state"][0] = moments
    save_torch(tmp_path / "b.pth", content)
    convert(tmp_path / "b.pth", tmp_path / "c.pth", layout="graphdeco")
    state = load_torch(tmp_path / "c.pth")[0][10]["state"]
    assert state[0]["step"] == 5 and torch.equal(state[0]["exp_avg_sq"], moments["exp_avg_sq"]) and list(state) == [0]


@pytest.mark.parametrize(
    ("output", "expected"),
    [("a.ply", True), ("a.compressed.PLY", True), ("b.spz", True), ("c.pth", True), ("run", False), ("run.2", False)],
)
def test_files_and_folders(output, expected):
    assert is_file(output) is expected


@pytest.mark.parametrize(
    ("output", "wishes", "message"),
    [
        ("a.obj", {}, "known endings"),
        ("b.ply", {"labels": (1,)}, "expected its file selection.npz"),
        ("b.ply", {"invert": True}, "expected its file selection.npz"),
        ("b.ply", {"max_sh_degree": 4}, "expected 0, 1, 2 or 3"),
        ("b.ply", {"time": 1.5}, "expected a moment"),
        ("b.ply", {"layers": ("0",)}, "has no layers"),
        ("plain.ply", {}, "holds the input"),
        (".", {}, "holds the input"),
        ("there.ply", {}, "exists; nothing was changed"),
        ("b.ply", {"selection": "none.npz"}, "no such file"),
        ("b.ply", {"merge": ("none.ply",)}, "no such file or folder"),
    ],
)
def test_what_does_not_fit_is_one_line(plain, tmp_path, output, wishes, message):
    (tmp_path / "there.ply").write_text("x")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(UserError, match=message) as caught:
        convert(plain, tmp_path / output, **wishes)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
