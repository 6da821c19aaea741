from __future__ import annotations

import json

import numpy as np
import pytest

from capture.known import read_calibration
from capture.layout import write_cameras
from tests.capture.rigs import HEIGHT, WIDTH, ring
from utils.errors import UserError

NAMES = ["cam_00", "cam_01", "cam_02"]
FLIP = np.diag([1.0, -1, -1, 1])


def read(path, size=(WIDTH, HEIGHT)):
    return read_calibration(path, NAMES, [size] * 3).cameras


def assert_is_ring(cameras, scale=1):
    for camera, true in zip(cameras, ring(3), strict=True):
        np.testing.assert_allclose(camera.world_to_camera, true.world_to_camera, atol=1e-6)
        np.testing.assert_allclose((camera.fx, camera.cx, camera.cy), scale * np.array((true.fx, true.cx, true.cy)))


def test_our_own_files_both_splits_and_another_picture_size(tmp_path):
    write_cameras(tmp_path, ring(3), [1], 2)
    assert_is_ring(read(tmp_path))
    assert_is_ring(read(tmp_path / "test_meta.json", (2 * WIDTH, 2 * HEIGHT)), 2)
    with pytest.raises(UserError, match="expected the shape"):
        read(tmp_path, (WIDTH, WIDTH))


def test_transforms(tmp_path):
    frames = [{"file_path": f"images/{c.image_name}/0.png",
               "transform_matrix": (np.linalg.inv(c.world_to_camera) @ FLIP).tolist()} for c in ring(3)]  # fmt: skip
    path = tmp_path / "transforms.json"
    path.write_text(json.dumps({"w": WIDTH, "h": HEIGHT, "fl_x": 80.0, "k1": 0.1, "frames": frames}))
    cameras = read(path)
    assert_is_ring(cameras)
    assert cameras[0].distortion == (0.1, 0, 0, 0)


def test_poses_bounds(tmp_path):
    rows = []
    for camera in ring(3):
        right, down, forward = camera.world_to_camera[:3, :3]
        columns = (down, right, -forward, camera.center, (HEIGHT, WIDTH, 80.0))
        rows.append([*np.stack(columns, 1).ravel(), 0.1, 9.0])
    np.save(tmp_path / "poses_bounds.npy", rows)
    assert_is_ring(read(tmp_path / "poses_bounds.npy"))


def test_panoptic_counts_pixels_from_zero_and_in_centimetres(tmp_path):
    cameras = [{"name": f"00_{i:02d}", "type": "hd", "node": i, "resolution": [WIDTH, HEIGHT],
                "K": [[80.0, 0, WIDTH / 2 - 0.5], [0, 80.0, HEIGHT / 2 - 0.5], [0, 0, 1]],
                "distCoef": [0.1, 0, 0, 0, 0],
                "R": c.world_to_camera[:3, :3].tolist(), "t": (100 * c.world_to_camera[:3, 3:]).tolist()}
               for i, c in enumerate(ring(3))]  # fmt: skip
    path = tmp_path / "calibration_x.json"
    path.write_text(json.dumps({"cameras": [*cameras, {"type": "vga"}]}))
    assert_is_ring(read(path))
    assert read(path)[0].distortion == (0.1, 0, 0, 0, 0)


def test_what_is_no_calibration_or_lacks_a_camera_is_said(tmp_path):
    with pytest.raises(UserError, match="not a known calibration; expected a COLMAP"):
        read(tmp_path)
    write_cameras(tmp_path, ring(2), [], 1)
    with pytest.raises(UserError, match="has no camera cam_02"):
        read(tmp_path)
    (tmp_path / "train_meta.json").write_text(json.dumps({"w2c": []}))
    with pytest.raises(UserError, match="not whole"):
        read(tmp_path / "train_meta.json")
