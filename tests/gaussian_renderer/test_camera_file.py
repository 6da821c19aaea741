"""Cameras from a file: those that training wrote come back, others are refused in one line."""

import json
from dataclasses import replace

import pytest
import torch

from gaussian_renderer.camera_file import read_cameras, write_cameras
from scene.cameras import camera_record
from tests.blobs import ring_cameras
from utils.errors import UserError


def entry(**changes):
    record = camera_record(ring_cameras(1)[0], 0) | changes
    return {key: value for key, value in record.items() if value is not None}


def test_what_training_writes_comes_back(tmp_path):
    cameras, path = ring_cameras(3), tmp_path / "cameras.json"
    path.write_text(json.dumps([camera_record(camera, index) for index, camera in enumerate(cameras)]))
    for camera, found in zip(cameras, read_cameras(path), strict=True):
        torch.testing.assert_close(found.world_to_camera, camera.world_to_camera, atol=1e-5, rtol=0)
        for name in ("image_name", "width", "height", "fx", "fy", "cx", "cy", "time"):
            assert getattr(found, name) == getattr(camera, name), name


def test_middle_and_time_can_be_given(tmp_path):
    path = tmp_path / "path.json"
    path.write_text(json.dumps([entry(cx=3, cy=4.5, time=0.25, img_name=None)]))
    (camera,) = read_cameras(path)
    assert (camera.cx, camera.cy, camera.time, camera.image_name) == (3.0, 4.5, 0.25, "camera_00000")


def test_what_is_written_comes_back_whole(tmp_path):
    cameras = [replace(camera, cx=20.5, cy=11.0, time=0.75) for camera in ring_cameras(3)]
    write_cameras(tmp_path / "path.json", cameras)
    for camera, found in zip(cameras, read_cameras(tmp_path / "path.json"), strict=True):
        torch.testing.assert_close(found.world_to_camera, camera.world_to_camera, atol=1e-6, rtol=0)
        for name in ("image_name", "width", "height", "fx", "fy", "cx", "cy", "time"):
            assert getattr(found, name) == getattr(camera, name), name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a list of cameras"),
        ({"frames": []}, "expected a list of cameras"),
        ([3], "camera 0"),
        ([entry(position=None)], "camera 0: no 'position'"),
        ([entry(), entry(rotation=[[1, 0], [0, 1]])], "camera 1"),
        ([entry(rotation=[[2, 0, 0], [0, 1, 0], [0, 0, 1]])], "rotation is no rotation"),
        ([entry(rotation=[[1, 0, 0], [0, 1, 0], [0, 0, -1]])], "rotation is no rotation"),
        ([entry(position=[0, 0, float("nan")])], "camera 0"),
        ([entry(width=0)], "size 0 x 40"),
        ([entry(width=10**9)], "size 1000000000 x 40"),
        ([entry(fx=-1)], "focal lengths -1.0"),
        ([entry(fy=float("inf"))], "focal lengths"),
        ([entry(height="tall")], "camera 0"),
        ([entry(time=2)], "time 2.0"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, content, message):
    path = tmp_path / "path.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as caught:
        read_cameras(path)
    assert "path.json" in str(caught.value) and "\n" not in str(caught.value)
