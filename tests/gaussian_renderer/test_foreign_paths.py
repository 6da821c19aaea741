"""Camera paths of nerfstudio and transforms.json, read and written."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gaussian_renderer.camera_file import path_record, read_cameras
from gaussian_renderer.foreign_paths import (
    NerfstudioWorld,
    lost_in_nerfstudio,
    nerfstudio_path,
    transforms_document,
)
from tests.blobs import ring_cameras
from utils.errors import UserError

CAMERAS = [replace(camera, time=index / 4) for index, camera in enumerate(ring_cameras(5))]
LOOKING_DOWN_Z = [1, 0, 0, 2, 0, 1, 0, 3, 0, 0, 1, 4, 0, 0, 0, 1]  # OpenGL axes: at (2, 3, 4), looking along -z
PATH = {
    "camera_type": "perspective",
    "render_height": 100,
    "render_width": 200,
    "seconds": 4,
    "camera_path": [{"camera_to_world": LOOKING_DOWN_Z, "fov": 90, "aspect": 2, "render_time": 0.5}],
}


def stored(tmp_path, document):
    path = tmp_path / "path.json"
    path.write_text(json.dumps(document))
    return path


def assert_same_views(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.world_to_camera, other.world_to_camera, atol=1e-5, rtol=0)
        for name in ("width", "height", "fx", "fy", "cx", "cy", "time"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6), name


def test_a_path_of_nerfstudio(tmp_path):
    (camera,) = read_cameras(stored(tmp_path, PATH))
    assert (camera.width, camera.height, camera.time) == (200, 100, 0.5)
    assert camera.fx == camera.fy == pytest.approx(50)  # 90 degrees across the height
    torch.testing.assert_close(camera.center, torch.tensor([2.0, 3, 4]))
    torch.testing.assert_close(camera.world_to_camera[2, :3], torch.tensor([0.0, 0, -1]))  # forward
    torch.testing.assert_close(camera.world_to_camera[1, :3], torch.tensor([0.0, -1, 0]))  # down


@pytest.mark.parametrize(
    "layout", [nerfstudio_path, lambda cameras: [path_record(camera, 0) for camera in cameras]], ids=["nerf", "own"]
)
def test_paths_go_there_and_back(tmp_path, layout):
    assert_same_views(read_cameras(stored(tmp_path, layout(CAMERAS))), CAMERAS)


def test_transforms_keep_principal_points(tmp_path):
    cameras = [replace(camera, cx=11.5, cy=13.0, fx=50.0) for camera in CAMERAS]
    assert_same_views(read_cameras(stored(tmp_path, transforms_document(cameras, tmp_path))), cameras)


def test_sizes_may_be_those_of_the_pictures(tmp_path):
    from utils.image_io import write_png

    write_png(tmp_path / "r_0.png", np.zeros((40, 60, 3), np.uint8))
    frame = {"file_path": "./r_0", "transform_matrix": np.array(LOOKING_DOWN_Z).reshape(4, 4).tolist()}
    (camera,) = read_cameras(stored(tmp_path, {"camera_angle_x": math.pi / 2, "frames": [frame]}))
    assert (camera.width, camera.height, camera.fx, camera.image_name) == (60, 40, pytest.approx(30), "r_0")


def test_what_a_path_cannot_say_is_told():
    assert lost_in_nerfstudio(CAMERAS) == []
    odd = [replace(CAMERAS[0], fx=80.0), replace(CAMERAS[1], cx=9.0), replace(CAMERAS[2], width=50, cx=25.0)]
    assert len(lost_in_nerfstudio(odd)) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"camera_type": "equirectangular"}, "only perspective"),
        ({"render_width": None}, "camera 0"),
        ({"camera_path": [{"camera_to_world": [1, 2], "fov": 50}]}, "camera 0"),
        ({"camera_path": [{"camera_to_world": [0] * 16, "fov": 50}]}, "rotation is no rotation"),
        ({"camera_path": [{"camera_to_world": LOOKING_DOWN_Z, "fov": 180}]}, "fov 180"),
        ({"camera_path": [PATH["camera_path"][0], 7]}, "camera 1"),
        ({"camera_path": []}, "expected a list of cameras"),
        ({"camera_path": {"a": 1}}, "neither a list"),
    ],
)
def test_wrong_paths_are_one_line(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        read_cameras(stored(tmp_path, PATH | changes))
    assert "\n" not in str(caught.value)


def test_a_transforms_without_sizes(tmp_path):
    frame = {"file_path": "none.png", "fl_x": 30, "transform_matrix": np.eye(4).tolist()}
    with pytest.raises(UserError, match="neither w and h, nor a picture"):
        read_cameras(stored(tmp_path, {"frames": [frame]}))


def test_nerfstudios_world(tmp_path):
    quarter = [[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3]]
    world = NerfstudioWorld.load(stored(tmp_path, {"transform": quarter, "scale": 0.5}))
    pose = np.eye(4)
    pose[:3, 3] = (1, 0, 0)
    np.testing.assert_allclose(world.into(pose)[:3, 3], [0.5, 1.5, 1.5])
    np.testing.assert_allclose(world.out_of(world.into(pose)), pose, atol=1e-12)
    for document in (
        {"transform": quarter},
        {"transform": [[2, 0, 0, 0]] * 3, "scale": 1},
        {"transform": 3, "scale": 1},
    ):
        with pytest.raises(UserError, match="check --dataparser"):
            NerfstudioWorld.load(stored(tmp_path, document))
