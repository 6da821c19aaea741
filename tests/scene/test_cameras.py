"""Training cameras."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import torch

from scene.cameras import Camera, camera_record
from scene.scene_info import CameraInfo

POSE = np.array([[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], np.float64)


def photograph(**changes):
    """An off-centre camera of 200 x 100 px."""
    values = {"fx": 180.0, "fy": 170.0, "cx": 90.0, "cy": 60.0, "width": 200, "height": 100} | changes
    return CameraInfo("a/b.jpg", Path("a/b.jpg"), POSE, **values)


@pytest.mark.parametrize(("resolution", "size"), [(-1, (200, 100)), (2, (100, 50)), (8, (25, 12)), (50, (50, 25))])
def test_intrinsics_scale_with_each_axis(resolution, size):
    camera = Camera.from_info(photograph(), 3, resolution)
    assert (camera.width, camera.height) == size
    assert camera.fx / camera.width == pytest.approx(180 / 200)
    assert camera.fy / camera.height == pytest.approx(170 / 100)
    assert camera.cx / camera.width == pytest.approx(90 / 200)
    assert camera.cy / camera.height == pytest.approx(60 / 100)
    assert camera.uid == 3 and camera.world_to_camera.dtype == torch.float32


def test_principal_point_can_be_ignored():
    camera = Camera.from_info(photograph(), resolution=2, ignore_principal_point=True)
    assert (camera.cx, camera.cy) == (50.0, 25.0)


def test_center_is_where_the_camera_coordinates_vanish():
    camera = Camera.from_info(photograph())
    local = camera.world_to_camera @ torch.cat((camera.center, torch.ones(1)))
    torch.testing.assert_close(local, torch.tensor([0.0, 0.0, 0.0, 1.0]))
    np.testing.assert_allclose(photograph().center, camera.center.numpy(), atol=1e-6)


def test_pinhole_is_the_same_camera_and_is_made_once():
    camera = Camera.from_info(photograph())
    pinhole = camera.pinhole
    assert (pinhole.fx, pinhole.fy, pinhole.cx, pinhole.cy) == (180.0, 170.0, 90.0, 60.0)
    assert camera.pinhole is pinhole
    half = camera.resized(100, 50)
    assert half.pinhole.width == 100 and half.pinhole.fx == 90.0
    assert half.info is camera.info


def test_cameras_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Camera.from_info(photograph()).fx = 1.0


def test_record_has_the_size_of_the_data_set():
    record = camera_record(Camera.from_info(photograph(), resolution=2), 5)
    assert (record["id"], record["img_name"], record["width"], record["height"]) == (5, "a/b.jpg", 200, 100)
    assert (record["fx"], record["fy"]) == (180.0, 170.0)
    np.testing.assert_allclose(record["rotation"], POSE[:3, :3].T)
    np.testing.assert_allclose(record["position"], photograph().center, atol=1e-6)
