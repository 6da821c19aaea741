"""Projection matrices of DTU and Tensor4D."""

from __future__ import annotations

import numpy as np
import pytest

from scene.datasets import ReadOptions, read_scene
from scene.datasets.dtu import decompose
from scene.scene_info import DatasetError
from tests.scene.small_scenes import HEIGHT, WIDTH, write_images

INTRINSICS = np.array([[20.0, 0.0, 11.0], [0.0, 21.0, 8.5], [0.0, 0.0, 1.0]])
SCALE = np.diag([3.0, 3.0, 3.0, 1.0]) + np.array([[0, 0, 0, 1.0], [0, 0, 0, -2.0], [0, 0, 0, 0.5], [0, 0, 0, 0]])


def pose(seed):
    """A random world-to-camera [4, 4]."""
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.linalg.det(rotation)
    matrix[:3, 3] = random.normal(size=3)
    return matrix


def matrices(count):
    """`world_mat_i` = K [R | t] and one `scale_mat_i` for all."""
    names = {}
    for index in range(count):
        names[f"world_mat_{index}"] = np.vstack((INTRINSICS @ pose(index)[:3], [0, 0, 0, 1]))
        names[f"scale_mat_{index}"] = SCALE
    return names


def dtu_scene(root, count=6, **extra):
    write_images(root / "image", [f"{index:03d}.png" for index in range(count)])
    write_images(root / "mask", [f"{index:06d}.png" for index in range(count)])
    np.savez(root / "cameras_sphere.npz", **(matrices(count) | extra))
    return root


def test_a_point_of_the_sphere_projects_as_by_the_matrices(tmp_path):
    info = read_scene(dtu_scene(tmp_path))
    assert info.reader == "dtu" and info.random_box == ((-1, -1, -1), (1, 1, 1)) and not info.is_dynamic
    point = np.array([0.2, -0.1, 0.4, 1.0])
    for index, camera in enumerate(info.train):
        x, y, depth = INTRINSICS @ (pose(index) @ SCALE @ point)[:3]
        local = camera.world_to_camera @ point
        projected = (
            camera.fx * local[0] / local[2] + camera.cx,
            camera.fy * local[1] / local[2] + camera.cy,
        )
        np.testing.assert_allclose(projected, (x / depth + 0.5, y / depth + 0.5), rtol=1e-9)
        assert np.sign(local[2]) == np.sign(depth)
        assert camera.mask_path.name == f"{index:06d}.png" and (camera.width, camera.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("length", [1.0, -1.0, 1e-3, 250.0])
def test_the_length_of_a_projection_is_free(length):
    found, world_to_camera = decompose(length * INTRINSICS @ pose(3)[:3], "x")
    np.testing.assert_allclose(found, INTRINSICS, atol=1e-9)
    np.testing.assert_allclose(world_to_camera, pose(3), atol=1e-9)


def test_moments_by_number(tmp_path):
    numbers = {f"fid_{index}": np.array(index // 2) for index in range(6)}
    info = read_scene(dtu_scene(tmp_path, **numbers))
    assert [camera.time for camera in info.train] == [0, 0, 0.5, 0.5, 1, 1]
    numbers.pop("fid_3")
    with pytest.raises(DatasetError, match="fid_3"):
        read_scene(dtu_scene(tmp_path, **numbers))


def test_every_eighth_is_held_out(tmp_path):
    info = read_scene(dtu_scene(tmp_path, count=9), ReadOptions(eval=True))
    assert [camera.image_name for camera in info.test] == ["000.png", "008.png"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"world_mat_6": np.eye(4)}, "has 7 cameras, 6 pictures in image/, 6 in mask/"),
        ({"world_mat_2": np.eye(3)}, r"world_mat_2: has shape \[3, 3\]"),
        ({"scale_mat_2": np.full((4, 4), np.nan)}, "scale_mat_2: holds NaN"),
        ({"world_mat_2": np.zeros((4, 4))}, "2: the projection is singular"),
        ({"world_mat_2": np.array([{}], dtype=object)}, "plain numbers"),
        ({"fid_0": np.array(0), "fid_1": np.array([1, 2])}, r"fid_1: has shape \[2\]"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, extra, message):
    with pytest.raises(DatasetError, match=message) as caught:
        read_scene(dtu_scene(tmp_path, **extra))
    assert "\n" not in str(caught.value)


def test_a_missing_scale(tmp_path):
    root = dtu_scene(tmp_path)
    kept = {name: value for name, value in matrices(6).items() if name != "scale_mat_4"}
    np.savez(root / "cameras_sphere.npz", **kept)
    with pytest.raises(DatasetError, match="scale_mat_4 is missing"):
        read_scene(root)
