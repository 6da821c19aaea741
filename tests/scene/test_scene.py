"""Opening a data set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from arguments import ModelParams
from scene import Scene
from scene.datasets import read_scene
from scene.scene import camera_extent, scene_extent
from scene.scene_info import DatasetError, PointCloud
from tests.helpers import data_path
from tests.scene.small_scenes import HEIGHT, WIDTH, ColmapContent, blender_scene, colmap_scene, write_images
from utils.progress import set_quiet


@pytest.fixture(autouse=True)
def talkative():
    set_quiet(False)


def test_open_says_what_was_found(tmp_path, capsys):
    root = colmap_scene(tmp_path, ColmapContent(num_points=6))
    scene = Scene.open(ModelParams(source_path=str(root), eval=True, resolution=2), "cpu")
    said = capsys.readouterr().out
    assert f"(colmap), 8 train + 2 test images {WIDTH}x{HEIGHT} used at {WIDTH // 2}x{HEIGHT // 2}, 6 points" in said
    assert f"images: {10 * 3 * WIDTH * HEIGHT // 4 / 1000:.0f} kB as bytes on cpu" in said
    assert [camera.uid for camera in (*scene.train, *scene.test)] == list(range(10))
    assert scene.images.get(scene.test[0]).image.shape == (3, HEIGHT // 2, WIDTH // 2)


def test_sizes_of_the_teacher_are_kept_in_the_model_folder(tmp_path):
    root, run = colmap_scene(tmp_path / "data"), tmp_path / "run"
    full = Scene.open(ModelParams(source_path=str(root), eval=True, resolution=1), "cpu")
    small = full.resized({camera.image_name: (9, 5) for camera in (*full.train, *full.test)})
    small.write_sizes(run)
    again = Scene.open(ModelParams(source_path=str(root), model_path=str(run), eval=True, resolution=0), "cpu")
    for scene in (small, again):
        camera = scene.train[0]
        assert (camera.width, camera.height) == (9, 5) and scene.images.get(camera).image.shape == (3, 5, 9)
        assert camera.fx == pytest.approx(full.train[0].fx * 9 / WIDTH)
        assert camera.cy == pytest.approx(full.train[0].cy * 5 / HEIGHT)
    assert len(again.train) == 8 and len(again.test) == 2


@pytest.mark.parametrize(
    ("content", "part"),
    [(None, "should say"), ('{"000.png": [9]}', "a width and a height"), ('{"000.png": [9, 5]}', "no size known")],
)
def test_sizes_that_nobody_knows(tmp_path, content, part):
    root = colmap_scene(tmp_path / "data")
    if content:
        (tmp_path / "image_sizes.json").write_text(content)
    with pytest.raises(DatasetError, match=part):
        Scene.open(ModelParams(source_path=str(root), model_path=str(tmp_path), resolution=0), "cpu")


def test_principal_point_flag(tmp_path):
    root = colmap_scene(tmp_path)
    kept = Scene.open(ModelParams(source_path=str(root)), "cpu").train[0]
    centred = Scene.open(ModelParams(source_path=str(root), ignore_principal_point=True), "cpu").train[0]
    assert (kept.cx, kept.cy) == (11.0, 8.5)
    assert (centred.cx, centred.cy) == (WIDTH / 2, HEIGHT / 2)


def test_camera_records_start_with_the_test_views(tmp_path):
    scene = Scene.open(ModelParams(source_path=str(blender_scene(tmp_path)), eval=True), "cpu")
    names = [record["img_name"] for record in scene.camera_records()]
    assert names[:3] == [f"test/r_{index}.png" for index in range(3)] and names[3] == "train/r_0.png"
    assert [record["id"] for record in scene.camera_records()] == list(range(7))


def test_extent_is_the_reach_of_the_training_cameras(tmp_path):
    info = read_scene(blender_scene(tmp_path))
    centers = np.stack([camera.center for camera in info.train])
    expected = 1.1 * np.linalg.norm(centers - centers.mean(axis=0), axis=1).max()
    assert camera_extent(info.train) == scene_extent(info) == pytest.approx(expected)


def test_cameras_in_one_place_take_the_extent_of_the_points(tmp_path, capsys):
    info = read_scene(colmap_scene(tmp_path))
    random = np.random.default_rng(0)
    positions = random.uniform(-3, 3, (500, 3)).astype(np.float32)
    positions[0] = 1e6  # a stray point does not count
    one = replace(info, train=info.train[:1], points=PointCloud(positions, np.zeros_like(positions)))
    assert 2 < scene_extent(one) < 6
    assert "all cameras stand in one place" in capsys.readouterr().err
    assert scene_extent(replace(one, points=None)) == 1.0


def test_masks_reach_the_ground_truth(tmp_path):
    root = colmap_scene(tmp_path)
    write_images(root / "masks", ["003.png"])
    scene = Scene.open(ModelParams(source_path=str(root)), "cpu")
    weights = [scene.images.get(camera).weight for camera in scene.train]
    assert [index for index, weight in enumerate(weights) if weight is not None] == [3]


def test_fox_with_distortion(capsys):
    scene = Scene.open(ModelParams(source_path=str(data_path("fox_ngp")), eval=True, resolution=8), "cpu")
    truth = scene.images.get(scene.train[0])
    assert truth.image.shape == (3, 120, 68) and 0.1 < truth.image.mean() < 0.9
    assert 0.9 < truth.weight.mean() < 1
    assert "43 train + 7 test images 540x960 used at 68x120, no points" in capsys.readouterr().out


def test_chair_on_white_and_black():
    scene = Scene.open(ModelParams(source_path=str(data_path("nerf_synthetic_chair")), eval=True), "cpu")
    camera = scene.test[0]
    white, black = scene.images.get(camera, torch.ones(3)), scene.images.get(camera, torch.zeros(3))
    assert white.image[:, 0, 0].tolist() == [1, 1, 1] and black.image[:, 0, 0].tolist() == [0, 0, 0]
    torch.testing.assert_close(white.image - black.image, (1 - white.alpha).expand(3, -1, -1))
    assert scene.extent == pytest.approx(5.2, abs=0.1)


def test_a_moving_scene_takes_the_larger_extent(tmp_path, capsys):
    info = read_scene(colmap_scene(tmp_path))
    positions = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    still = replace(info, points=PointCloud(100 * positions, positions))
    moving = replace(still, train=tuple(replace(camera, time=index / 9) for index, camera in enumerate(still.train)))
    assert scene_extent(still) == camera_extent(info.train)
    assert scene_extent(moving) == pytest.approx(1.1 * 250, rel=0.1)  # 90 % of a normal cloud lie within 2.5 sigma
    near = replace(moving, points=PointCloud(positions / 100, positions))
    assert scene_extent(near) == camera_extent(info.train)
    one_place = replace(moving, train=tuple(replace(moving.train[0], time=time) for time in (0.0, 1.0)))
    assert scene_extent(one_place) == scene_extent(moving)
    assert scene_extent(replace(moving, points=None)) == camera_extent(info.train)
    assert capsys.readouterr().err == ""


def test_open_says_how_many_moments(tmp_path, capsys):
    root = colmap_scene(tmp_path)
    Scene.open(ModelParams(source_path=str(root), times_from_names=True), "cpu")
    said = capsys.readouterr().out
    assert "(colmap, times from the image names), 10 train + 0 test images" in said
    assert f"{WIDTH}x{HEIGHT}, 10 times, 6 points" in said


def test_alpha_is_flattened_as_the_kind_of_data_set_has_it(tmp_path):
    root, other = blender_scene(tmp_path / "blender"), colmap_scene(tmp_path / "colmap")
    flags = {"eval": True, "flatten_alpha": True}
    assert Scene.open(ModelParams(source_path=str(other), **flags), "cpu").images.flatten == "drop"
    assert Scene.open(ModelParams(source_path=str(root), **flags), "cpu").images.flatten == "black"
    scene = Scene.open(ModelParams(source_path=str(root), white_background=True, **flags), "cpu")
    assert scene.images.flatten == "white" and scene.images.get(scene.train[0]).alpha is None
    sizes = {camera.image_name: (9, 5) for camera in (*scene.train, *scene.test)}
    assert scene.resized(sizes).images.flatten == "white"
    assert Scene.open(ModelParams(source_path=str(root)), "cpu").images.flatten == ""


def test_test_views_train_with_one_half_and_are_measured_on_the_other(tmp_path):
    root = colmap_scene(tmp_path)
    scene = Scene.open(ModelParams(source_path=str(root), eval=True, train_test_exp=True), "cpu")
    assert [camera.image_name for camera in scene.train] == [f"{k:03d}.png" for k in range(10)]
    halves = {camera.image_name: camera.info.half for camera in scene.train}
    assert [name for name, half in halves.items() if half == "left"] == ["000.png", "008.png"]
    assert {half for name, half in halves.items() if name not in ("000.png", "008.png")} == {"both"}
    assert [(camera.image_name, camera.info.half) for camera in scene.test] == [
        ("000.png", "right"),
        ("008.png", "right"),
    ]
    assert [camera.uid for camera in (*scene.train, *scene.test)] == list(range(12))
    middle = WIDTH // 2
    for camera in scene.test:
        left = next(other for other in scene.train if other.image_name == camera.image_name)
        weights = [scene.images.get(one).weight for one in (left, camera)]
        assert float(weights[0][:, :, middle:].max()) == 0 and float(weights[1][:, :, :middle].max()) == 0
        assert float((weights[0] + weights[1]).min()) == 1


def test_the_protocol_without_test_views_halves_nothing_and_says_so(tmp_path, capsys):
    root = colmap_scene(tmp_path)
    scene = Scene.open(ModelParams(source_path=str(root), train_test_exp=True), "cpu")
    assert {camera.info.half for camera in scene.train} == {"both"}
    assert "no test views, so no picture is halved" in capsys.readouterr().err


def test_masks_become_mattes_on_request(tmp_path, capsys):
    root = colmap_scene(tmp_path)
    with pytest.raises(DatasetError, match="no masks; expected masks/<image name>.png with --mask_mode matte"):
        Scene.open(ModelParams(source_path=str(root), mask_mode="matte"), "cpu")
    write_images(root / "masks", ["000.png", "001.png"])
    scene = Scene.open(ModelParams(source_path=str(root), mask_mode="matte"), "cpu")
    assert "8 of 10 images have no mask and count as opaque" in capsys.readouterr().err
    truths = [scene.images.get(camera) for camera in scene.train[:3]]
    assert [truth.alpha is not None for truth in truths] == [True, True, False]
    assert all(truth.weight is None for truth in truths)
    ignoring = Scene.open(ModelParams(source_path=str(root)), "cpu")
    truth = ignoring.images.get(ignoring.train[0])
    assert truth.alpha is None and truth.weight is not None
