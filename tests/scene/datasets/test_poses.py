"""Pose checks and axis changes."""

from __future__ import annotations

import numpy as np
import pytest

from scene.datasets.poses import checked_pose, invert_pose, rotation_from_quaternion, world_to_camera_from_opengl
from scene.scene_info import DatasetError


def random_pose(seed):
    """A rigid [4, 4] matrix."""
    random = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_quaternion(random.normal(size=4))
    matrix[:3, 3] = random.normal(size=3)
    return matrix


@pytest.mark.parametrize("seed", range(3))
def test_rotations_are_rotations_and_inverses_invert(seed):
    pose = random_pose(seed)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    np.testing.assert_allclose(invert_pose(pose) @ pose, np.eye(4), atol=1e-12)


def test_rounding_is_mended():
    pose = random_pose(0)
    rough = pose.copy()
    rough[:3, :3] = np.round(pose[:3, :3], 3)
    mended = checked_pose(rough, "x")
    np.testing.assert_allclose(mended[:3, :3].T @ mended[:3, :3], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(mended, pose, atol=2e-3)


@pytest.mark.parametrize("flaw", ["scale", "mirror", "bottom", "nan"])
def test_what_is_no_pose(flaw):
    pose = random_pose(1)
    if flaw == "scale":
        pose[:3, :3] *= 1.1
    elif flaw == "mirror":
        pose[:3, 0] *= -1
    elif flaw == "bottom":
        pose[3, 0] = 0.5
    else:
        pose[1, 3] = np.nan
    with pytest.raises(DatasetError, match="frame 7"):
        checked_pose(pose, "frame 7")


def test_three_by_four_matrices_are_completed():
    pose = random_pose(2)
    np.testing.assert_allclose(
        world_to_camera_from_opengl(pose[:3].tolist(), "x"), world_to_camera_from_opengl(pose, "x"), atol=1e-12
    )
