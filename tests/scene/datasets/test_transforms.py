"""Single-file transforms.json scenes."""

from __future__ import annotations

import json
import math
import os
import shutil

import numpy as np
import pytest

from scene.datasets import ReadOptions, read_scene
from scene.formats.ply import write_points
from scene.scene_info import DatasetError, PointCloud
from tests.helpers import data_path
from tests.scene.small_scenes import HEIGHT, WIDTH, nerf_frames, transforms_scene, write_images, write_json


def edit(root, change):
    """Rewrites transforms.json after `change(document)`."""
    path = root / "transforms.json"
    document = json.loads(path.read_text())
    change(document)
    write_json(path, document)
    return root


def test_global_intrinsics_split_and_names(tmp_path):
    info = read_scene(transforms_scene(tmp_path), ReadOptions(eval=True))
    assert info.reader == "transforms" and info.points is None and info.warnings == ()
    assert [camera.image_name for camera in info.test] == ["0000.png", "0008.png"]
    camera = info.train[0]
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (20.0, 21.0, 11.0, 8.5)
    np.testing.assert_allclose(camera.world_to_camera @ [0, 0, 0, 1], [0, 0, 4, 1], atol=1e-9)


def test_frame_values_win_over_file_values(tmp_path):
    root = transforms_scene(tmp_path, time=0.75)
    edit(root, lambda document: document["frames"][3].update(fl_x=30.0, cx=9.0, time=0.25))
    camera = read_scene(root).train[3]
    assert (camera.fx, camera.fy, camera.cx, camera.time) == (30.0, 21.0, 9.0, 0.25)


def test_camera_angle_stands_in_for_a_focal_length(tmp_path):
    names = ["images/a.png", "images/b.png"]
    write_images(tmp_path, names)
    write_json(tmp_path / "transforms.json", {"camera_angle_x": 0.8, "frames": nerf_frames(names)})
    camera = read_scene(tmp_path).train[0]
    assert camera.fx == camera.fy == pytest.approx(WIDTH / 2 / math.tan(0.4))
    assert (camera.cx, camera.cy) == (WIDTH / 2, HEIGHT / 2)


def test_intrinsics_follow_the_size_of_the_files(tmp_path):
    root = edit(transforms_scene(tmp_path), lambda document: document.update(w=2.0 * WIDTH, h=2.0 * HEIGHT))
    camera = read_scene(root).train[0]
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (10.0, 10.5, 5.5, 4.25)


@pytest.mark.parametrize(
    ("values", "distortion", "fisheye"),
    [
        ({"k1": 0.1, "k2": -0.1, "p1": 0.01, "p2": 0.02}, (0.1, -0.1, 0.01, 0.02), False),
        ({"k1": 0.1, "k3": 0.3}, (0.1, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0), False),
        ({"k1": 0.0, "k2": 0.0}, (), False),
        ({"k1": 0.1, "camera_model": "PINHOLE"}, (), False),
        ({"k1": 0.1, "k4": 0.4, "camera_model": "OPENCV_FISHEYE"}, (0.1, 0.0, 0.0, 0.4), True),
        ({"k1": 0.1, "is_fisheye": True}, (0.1, 0.0, 0.0, 0.0), True),
    ],
)
def test_distortion(tmp_path, values, distortion, fisheye):
    camera = read_scene(transforms_scene(tmp_path, **values)).train[0]
    assert (camera.distortion, camera.fisheye) == (distortion, fisheye)


def test_unusable_camera_model(tmp_path):
    with pytest.raises(DatasetError, match="EQUIRECTANGULAR is not supported"):
        read_scene(transforms_scene(tmp_path, camera_model="EQUIRECTANGULAR"))


def test_missing_images_are_one_note(tmp_path):
    root = transforms_scene(tmp_path)
    for index in range(0, 10, 2):
        os.remove(root / "images" / f"{index:04d}.png")
    info = read_scene(root)
    assert len(info.train) == 5 and len(info.warnings) == 1
    assert "skipped 5 of 10 frames" in info.warnings[0] and "and 1 more" in info.warnings[0]
    shutil.rmtree(root / "images")
    with pytest.raises(DatasetError, match="none of its 10 images exists"):
        read_scene(root)


def test_masks_beside_the_images_and_by_path(tmp_path):
    root = transforms_scene(tmp_path)
    write_images(root, ["masks/0001.png", "elsewhere/m.png"])
    edit(root, lambda document: document["frames"][2].update(mask_path="elsewhere/m.png"))
    masks = [camera.mask_path for camera in read_scene(root).train[:3]]
    assert masks == [None, root / "masks" / "0001.png", root / "elsewhere" / "m.png"]
    edit(root, lambda document: document["frames"][2].update(mask_path="gone.png"))
    with pytest.raises(DatasetError, match=r"frame 2: mask gone.png does not exist"):
        read_scene(root)


def test_point_cloud_by_name(tmp_path):
    root = transforms_scene(tmp_path, ply_file_path="sparse_pc.ply")
    with pytest.raises(DatasetError, match="ply_file_path sparse_pc.ply does not exist"):
        read_scene(root)
    write_points(root / "sparse_pc.ply", PointCloud(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)))
    np.testing.assert_array_equal(read_scene(root).points.positions, np.eye(3))


def test_frame_numbers_become_moments(tmp_path):
    root = transforms_scene(tmp_path)
    edit(root, lambda document: [frame.update(time=index) for index, frame in enumerate(document["frames"])])
    info = read_scene(root)
    assert [camera.time for camera in info.train] == [index / 9 for index in range(10)]
    assert "times 0 to 9 are used as 0 to 1" in info.warnings[0]


def test_names_keep_the_folders_that_differ(tmp_path):
    names = ["images/left/0.png", "images/right/0.png"]
    write_images(tmp_path, names)
    write_json(tmp_path / "transforms.json", {"camera_angle_x": 0.8, "frames": nerf_frames(names)})
    assert [camera.image_name for camera in read_scene(tmp_path).train] == ["left/0.png", "right/0.png"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document["frames"][1].update(transform_matrix=[[1, 2], [3, 4]]), "frame 1: .* not 4x4"),
        (lambda document: document["frames"][1].pop("transform_matrix"), "frame 1: .* not 4x4"),
        (lambda document: document["frames"][1]["transform_matrix"][0].__setitem__(0, math.nan), "frame 1: .* NaN"),
        (lambda document: document["frames"][1]["transform_matrix"][0].__setitem__(0, 3.0), "frame 1: .* not rigid"),
        (lambda document: document["frames"][1].pop("file_path"), "frame 1: has no file_path"),
        (lambda document: document["frames"].clear(), "has no frames"),
        (lambda document: document.pop("frames"), "has no list 'frames'"),
        (lambda document: document.update(fl_x="wide"), "fl_x is 'wide'"),
        (lambda document: document["frames"][2].update(time=0.5), "9 of 10 pictures have no time .images/0000.png, "),
        (lambda document: document.update(fl_x=-3.0), "no usable focal length"),
        (lambda document: [document.pop(key) for key in ("fl_x", "fl_y")], "no usable focal length"),
        (lambda document: document["frames"].append(dict(document["frames"][0])), "occur twice: 0000.png"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, change, message):
    root = edit(transforms_scene(tmp_path), change)
    with pytest.raises(DatasetError, match=message) as caught:
        read_scene(root)
    assert "\n" not in str(caught.value)


def test_truncated_json(tmp_path):
    root = transforms_scene(tmp_path)
    text = (root / "transforms.json").read_text()
    (root / "transforms.json").write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match=r"transforms.json"):
        read_scene(root)


def test_fox_of_instant_ngp(tmp_path):
    root = data_path("fox_ngp")
    info = read_scene(root, ReadOptions(eval=True))
    assert (len(info.train), len(info.test)) == (43, 7)
    camera = info.train[0]
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (687.76, 687.245, 277.279, 482.634)
    assert len(camera.distortion) == 4 and not camera.fisheye
    (tmp_path / "images").symlink_to(root / "images")
    shutil.copy(root / "transforms_all67.json", tmp_path / "transforms.json")
    traps = read_scene(tmp_path)
    assert len(traps.train) == 50 and "skipped 17 of 67 frames" in traps.warnings[0]
    assert traps.train[0].image_name == "0001.jpg"
