"""Cameras of data sets, models and paths, written as other programs have them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from arguments import ExchangeParams
from arguments.convert_params import ConvertParams
from gaussian_renderer.camera_exchange import convert_cameras, format_of
from gaussian_renderer.camera_file import read_cameras
from scene.datasets import read_scene
from tests.blobs import write_blob_run
from tests.scene.small_scenes import transforms_scene
from utils.errors import UserError
from utils.files import write_json


def convert(source, output, model=False, overwrite=False, **wishes):
    place = {"model_path": str(source)} if model else {"source_path": str(source)}
    convert_cameras(ConvertParams(output=str(output), overwrite=overwrite, **place), ExchangeParams(**wishes))


@pytest.mark.parametrize(
    ("name", "wanted", "found"),
    [("a.json", "auto", "cameras"), ("transforms_train.json", "auto", "transforms"), ("out", "auto", "colmap"),
     ("a.nerfstudio.json", "auto", "nerfstudio"), ("a.json", "transforms", "transforms"),
     ("way.gltf", "auto", "gltf")],
)  # fmt: skip
def test_the_name_says_the_layout(name, wanted, found):
    assert format_of(Path(name), wanted) == found


@pytest.mark.parametrize(
    ("name", "wanted"), [("a.json", "colmap"), ("out", "nerfstudio"), ("way.gltf", "cameras"), ("a.json", "gltf")]
)
def test_names_that_do_not_fit(name, wanted):
    with pytest.raises(UserError, match="change -o or --camera_format"):
        format_of(Path(name), wanted)


def test_a_data_set_becomes_another_one(tmp_path):
    """Distorted lenses, off-centre principal points and all: transforms.json to COLMAP and back."""
    first = read_scene(transforms_scene(tmp_path / "data", 4, k1=0.05, k2=-0.01))
    convert(tmp_path / "data", tmp_path / "colmap")
    shutil.copytree(tmp_path / "data" / "images", tmp_path / "colmap" / "images")
    second = read_scene(tmp_path / "colmap")
    convert(tmp_path / "colmap", tmp_path / "third" / "transforms.json")
    third = read_scene(tmp_path / "third")
    assert (second.reader, third.reader) == ("colmap", "transforms")
    for one, two, three in zip(first.train, second.train, third.train, strict=True):
        for other in (two, three):
            assert Path(other.image_name).name == Path(one.image_name).name
            np.testing.assert_allclose(other.world_to_camera, one.world_to_camera, atol=1e-9)
            assert (other.fx, other.fy, other.cx, other.cy) == (one.fx, one.fy, one.cx, one.cy)
            np.testing.assert_allclose(other.distortion, one.distortion)


def test_a_model_gives_its_data_sets_cameras_or_its_own_list(tmp_path, capsys):
    run = write_blob_run(tmp_path)
    convert(run, tmp_path / "a.json", model=True)
    assert len(read_cameras(tmp_path / "a.json")) == 8
    convert(tmp_path / "a.json", run / "cameras.json")
    shutil.rmtree(tmp_path / "data")
    convert(run, tmp_path / "b.nerfstudio.json", model=True)
    assert "taken from its cameras.json" in capsys.readouterr().err
    for one, other in zip(read_cameras(tmp_path / "a.json"), read_cameras(tmp_path / "b.nerfstudio.json"), strict=True):
        torch.testing.assert_close(one.world_to_camera, other.world_to_camera, atol=1e-5, rtol=0)


def test_nothing_is_replaced_without_being_asked(tmp_path):
    transforms_scene(tmp_path / "data", 2)
    for name in ("a.json", "colmap"):
        convert(tmp_path / "data", tmp_path / name)
        with pytest.raises(UserError, match="nothing was changed"):
            convert(tmp_path / "data", tmp_path / name)
        convert(tmp_path / "data", tmp_path / name, overwrite=True)


def test_out_of_nerfstudios_world_and_into_it(tmp_path):
    write_blob_run(tmp_path)
    quarter = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3]]
    write_json(tmp_path / "dp.json", {"transform": quarter, "scale": 0.25})
    dp = str(tmp_path / "dp.json")
    convert(tmp_path / "data", tmp_path / "plain.json")
    convert(tmp_path / "data", tmp_path / "there.nerfstudio.json", dataparser=dp)
    convert(tmp_path / "there.nerfstudio.json", tmp_path / "back.json", dataparser=dp)
    plain, there = (read_cameras(tmp_path / name) for name in ("plain.json", "there.nerfstudio.json"))
    expected = 0.25 * (np.array(quarter)[:, :3] @ plain[0].center.numpy() + np.array(quarter)[:, 3])
    np.testing.assert_allclose(there[0].center.numpy(), expected, atol=1e-5)
    for one, other in zip(plain, read_cameras(tmp_path / "back.json"), strict=True):
        torch.testing.assert_close(one.world_to_camera, other.world_to_camera, atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="expected just one of both"):
        convert(tmp_path / "data", tmp_path / "c.json", dataparser=dp)


def test_lost_lenses_are_told(tmp_path, capsys):
    transforms_scene(tmp_path / "data", 2, k1=0.1)
    convert(tmp_path / "data", tmp_path / "a.nerfstudio.json")
    assert "no room for pixels that are not square" in (told := capsys.readouterr().err) and "distortion" in told
