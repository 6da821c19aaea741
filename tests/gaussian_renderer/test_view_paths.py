"""Views by name or number, and cameras over time."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gaussian_renderer.view_paths import all_paths, find_view, path_of
from scene.scene_info import CameraInfo
from tests.blobs import ring_cameras
from tests.moving_blobs import timed_ring
from utils.errors import UserError


def rig():
    """Two cameras at three moments, the second of which moves."""
    views = []
    for number, place in ((4, 0), (11, 2)):
        for index in range(3):
            view = ring_cameras(6)[place + (index if number == 11 else 0)]
            pose = view.world_to_camera.numpy()
            info = CameraInfo("", Path(), pose, 1, 1, 1, 1, 1, 1, camera_id=number)
            views.append(replace(view, image_name=f"{number}/{index:06d}.jpg", time=index / 2, info=info))
    return views


def test_views_are_found_by_name_and_by_number():
    cameras = list(reversed(rig()))
    for asked in ("11/000001.jpg", "11/000001", "1"):
        assert find_view(cameras, asked, "--view").image_name == "11/000001.jpg"
    for asked in ("6", "11/000009", "-1", ""):
        with pytest.raises(UserError, match="--view is .*; expected 0 to 5, or a name from"):
            find_view(cameras, asked, "--view")


def test_a_camera_of_a_rig_is_where_it_was():
    cameras, times = rig(), [0.0, 0.2, 0.5, 1.0]
    path = path_of(cameras[4], cameras, times)
    assert path.name == "11" and [camera.time for camera in path.cameras] == times
    assert [camera.uid for camera in path.cameras] == [0, 1, 2, 3]
    for camera, source in zip(path.cameras, (3, 3, 4, 5), strict=True):
        assert torch.equal(camera.world_to_camera, cameras[source].world_to_camera)


def test_a_view_of_no_rig_stands_still():
    cameras = [replace(camera, image_name=f"train/{camera.image_name}") for camera in timed_ring(4)]
    path = path_of(cameras[2], cameras, [0.0, 1.0])
    assert path.name == "train__002"
    assert all(torch.equal(camera.world_to_camera, cameras[2].world_to_camera) for camera in path.cameras)


def test_all_cameras_of_a_rig_and_the_one_that_moves():
    paths = all_paths(list(reversed(rig())), [0.0, 1.0])
    assert list(paths) == [4, 11] and [path.name for path in paths.values()] == ["4", "11"]
    cameras = [*timed_ring(4), timed_ring(4)[3].resized(20, 10)]
    (path,) = all_paths(cameras, [1.0, 0.3]).values()
    assert path.name == "moving"
    for camera, source in zip(path.cameras, (3, 1), strict=True):
        assert torch.equal(camera.world_to_camera, cameras[source].world_to_camera)
        assert (camera.width, camera.height) == (48, 40)
