"""Layers from end to end: the command lines of Multi-Layer 3DGS's page, on a scene of toys in a shell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import ndraster
import numpy as np
import pytest
import torch

import render
import segment
import train
from arguments import ModelParams, OptionError, load_config
from examples.make_scene import SceneOptions, make
from gaussian_renderer import render as draw
from gaussian_renderer.trained import open_trained
from gaussian_renderer.trajectories import sorted_by_name
from scene.formats.ply import read_ply, write_ply
from scene.layer_files import load_layers
from tests.helpers import assert_one_line_error, run_script
from utils.errors import UserError
from utils.files import read_jsonl
from utils.image_io import read_image

BACKEND = "cpu" if "cpu" in ndraster.available_backends() else "reference"
# Short, but with densification, purges and an opacity reset before the interruption.
FLAGS = (
    f"--eval --device cpu --backend {BACKEND} --init_count 200 --sh_degree 1 --iterations 40 --densify_from_iter 5 "
    "--densification_interval 8 --opacity_reset_interval 12 --densify_grad_threshold 0.00005 --test_iterations -1 "
    "--densify_until_iter 38"
).split()
OF_THE_PAGE = ["-a", "--random_background", "--save_layer"]
PLY = Path("point_cloud/iteration_40/point_cloud.ply")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scene"
    make(SceneOptions("layers", folder, size=(24, 24), views=6, samples=1))
    return folder


@pytest.fixture(scope="module")
def inner(data, tmp_path_factory) -> Path:
    """The model folder of the inner layer, trained with features."""
    out = tmp_path_factory.mktemp("runs") / "inner"
    train.main(["-s", str(data / "inner"), "-m", str(out), *FLAGS, *OF_THE_PAGE, "-f", "oracle"])
    return out


@pytest.fixture(scope="module")
def outer(data, inner) -> Path:
    """The model folder of the outer layer over the inner one, also with features."""
    return over(data, inner.parent / "outer", inner / "layer_save_40.pth", "-f", "oracle")


def over(data: Path, out: Path, layer: Path, *flags: str) -> Path:
    """Train on pictures of everything over a layer."""
    words = ["-s", data / "composite", "-m", out, *FLAGS, *OF_THE_PAGE, "--load_layer", layer, *flags]
    train.main([str(word) for word in words])
    return out


def assert_holds(path: Path, layers) -> None:
    """The oldest layers in a file are these, bit for bit."""
    found = load_layers(path)
    for one, other in zip(found, layers, strict=False):
        assert one.name == other.name
        assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())


def test_a_layer_is_saved_with_the_point_cloud(inner):
    (layer,) = load_layers(inner / "layer_save_40.pth")
    arrays = read_ply(inner / PLY)
    assert layer.name == "inner" and len(layer) == len(arrays) > 100
    np.testing.assert_array_equal(layer.tensors["semantic_feature"], arrays.semantic_feature)
    assert not (inner / PLY).with_name("layers.json").exists()  # one layer is a plain model


def test_the_loaded_layer_is_bit_identical_after_training(inner, outer):
    frozen = load_layers(inner / "layer_save_40.pth")
    assert_holds(outer / "layer_save_40.pth", frozen)
    assert_holds(outer / PLY, frozen)
    table = json.loads((outer / PLY).with_name("layers.json").read_text())["layers"]
    assert [row["name"] for row in table] == ["inner", "outer"]
    assert sum(row["count"] for row in table) == len(read_ply(outer / PLY))
    assert table[1]["count"] != 200  # only the active layer is densified and pruned


def test_purges_are_reported(outer):
    records = [record for record in read_jsonl(outer / "metrics.jsonl") if record["split"] == "purge"]
    assert [record["iteration"] for record in records] == [8, 16, 24, 32]
    assert records[1]["threshold"] == pytest.approx(0.015 * 0.975)


def test_resume_is_bit_for_bit_without_the_layer_file(data, inner, tmp_path):
    """Stopped amid an interval; the checkpoint has the frozen layers, so that their file may be gone."""
    layer = shutil.copy(inner / "layer_save_40.pth", tmp_path / "moved.pth")
    out = over(data, tmp_path / "run", Path(layer), "--checkpoint_iterations", "21")
    before = {name: (out / name).read_bytes() for name in (PLY, "layer_save_40.pth")}
    records = [record | {"seconds": 0} for record in read_jsonl(out / "metrics.jsonl")]
    for path in (tmp_path / "moved.pth", out / PLY, out / "layer_save_40.pth"):
        path.unlink()
    train.main(["-m", str(out), "--resume", "--device", "cpu", "--backend", BACKEND])
    assert (out / PLY).read_bytes() == before[PLY]
    assert_holds(out / "layer_save_40.pth", load_layers(inner / "layer_save_40.pth"))
    assert [record | {"seconds": 0} for record in read_jsonl(out / "metrics.jsonl")] == records


def test_a_foreign_splat_file_of_a_higher_degree_is_a_layer(data, inner, tmp_path):
    arrays = read_ply(inner / PLY)
    foreign = tmp_path / "foreign.ply"
    rest = np.random.default_rng(0).normal(size=(len(arrays), 15, 3)).astype(np.float32)
    write_ply(foreign, type(arrays)(**arrays.named() | {"f_rest": rest, "semantic_feature": None}))
    out = over(data, tmp_path / "run", foreign, "--inline_layers")
    saved = read_ply(out / PLY)
    np.testing.assert_array_equal(saved.f_rest[: len(arrays)], rest)
    assert "sh_degree=3" in (out / "cfg_args").read_text()  # as wide as the file, for viewers
    assert load_config(out, ModelParams).sh_degree == 1
    (out / PLY).with_name("layers.json").unlink()
    assert [len(layer) for layer in load_layers(out / PLY)][0] == len(arrays)  # by the column in the file


def test_any_layers_can_be_rendered_or_left_out(outer, capsys):
    base = ["-m", str(outer), "--device", "cpu", "--backend", BACKEND, "--skip_train"]
    render.main([*base, "--layers", "0"])
    render.main([*base, "--layers", "outer", "--ply_sequence", "1"])
    render.main(base)
    shown = [read_image(next(outer.glob(f"test/{name}/renders/*.png"))).astype(int) for name in (
        "ours_40_layers_0", "ours_40_layers_outer", "ours_40")]  # fmt: skip
    assert all(np.abs(a - b).mean() > 1 for a, b in ((shown[0], shown[1]), (shown[1], shown[2]), (shown[0], shown[2])))
    rest = read_ply(outer / "ply_sequence_40_layers_outer/00000.ply")  # the model without its inner layer
    table = json.loads((outer / PLY).with_name("layers.json").read_text())["layers"]
    assert len(rest) == table[1]["count"]
    options = load_config(outer, ModelParams)
    whole = open_trained(options).model
    both = open_trained(options, layers=("0,1",)).model
    assert torch.equal(both.means, whole.means)
    with pytest.raises(UserError, match="0 inner, 1 outer"):
        render.main([*base, "--layers", "2"])


def test_some_layers_can_be_segmented(outer):
    base = ["-m", str(outer), "--device", "cpu", "--backend", BACKEND, "--skip_video"]
    trained = open_trained(load_config(outer, ModelParams), layers=("inner",))
    alpha = draw(sorted_by_name(trained.scene.train)[0], trained.model).alpha[0]
    row, column = divmod(int(alpha.argmax()), alpha.shape[1])
    point = ["--point", str(column), str(row), "--threshold", "0.2"]
    segment.main([*base, *point, "--layers", "inner", "--name", "toy"])
    count = json.loads((outer / PLY).with_name("layers.json").read_text())["layers"][0]["count"]
    mask = np.load(outer / "segment/toy/selection.npz")["mask"]
    assert mask.shape == (len(read_ply(outer / PLY)),)
    assert mask[:count].any() and not mask[count:].any()
    assert json.loads((outer / "segment/toy/selection.json").read_text())["layers"] == ["inner"]


def test_the_layer_file_and_the_flags_of_the_original_program(data, inner, tmp_path):
    (layer,) = load_layers(inner / "layer_save_40.pth")
    names = ("xyz", "f_dc", "f_rest", "scaling", "rotation", "opacity")
    file = tmp_path / "layer_save_30000.pth"
    torch.save(tuple([torch.nn.Parameter(layer.tensors[name])] for name in names), file)
    words = [str(w) for w in ("-s", data / "composite", "-m", tmp_path / "run", *FLAGS, "--load_layer", file)]
    wrong = run_script("train.py", *words, "-inactive_purge_threshold", "0.02")
    assert_one_line_error(wrong, "-inactive_purge_threshold has one dash", "write --inactive_purge_threshold")
    with pytest.raises(OptionError, match="--flatten_alpha"):
        train.main([*words, "-f", "-a"])
    assert not (tmp_path / "run").exists()
    flags = ["--inactive_purge_threshold", "0.02", "--inactive_purge_decay", "0.95", "--iterations", "16"]
    train.main([*words, *flags])
    purges = [r["threshold"] for r in read_jsonl(tmp_path / "run/metrics.jsonl") if r["split"] == "purge"]
    assert purges == pytest.approx([0.02, 0.019])
    assert not (tmp_path / "run/layer_save_16.pth").exists()  # only with --save_layer


def test_wrong_layers_are_one_line_and_leave_nothing(data, tmp_path):
    base = [str(word) for word in ("-s", data / "inner", "-m", tmp_path / "run", *FLAGS, "--load_layer")]
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    for name, message in (("no.pth", "no such file"), ("bad.pth", r"bad\.pth"), ("bad.txt", "no such file")):
        with pytest.raises(UserError, match=message):
            train.main([*base, str(tmp_path / name)])
    assert not (tmp_path / "run").exists()
