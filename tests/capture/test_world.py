from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from capture.world import find_floor, find_world, mean_down, meeting_point, scale_from_baseline
from scene.datasets.poses import rotation_from_quaternion
from tests.capture.rigs import exact, ring
from utils.errors import UserError


def moved(cameras, points, scale=0.4):
    """The same in another world: x' = scale * R x + t."""
    rotation, shift = rotation_from_quaternion(np.array([0.6, -0.5, 0.3, 0.4])), np.array([3.0, -1.0, 2.0])
    result = []
    for camera in cameras:
        pose = np.eye(4)
        pose[:3, :3] = camera.world_to_camera[:3, :3] @ rotation.T
        pose[:3, 3] = scale * camera.world_to_camera[:3, 3] - pose[:3, :3] @ shift
        result.append(replace(camera, world_to_camera=pose))
    return result, scale * points @ rotation.T + shift


def stage(seed=0):
    rng = np.random.default_rng(seed)
    floor = np.stack([rng.uniform(-1, 1, 300), rng.normal(0, 0.002, 300), rng.uniform(-1, 1, 300)], 1)
    things = rng.uniform([-0.5, -0.8, -0.5], [0.5, 0, 0.5], (200, 3))
    return np.concatenate([floor, things])


def test_axes_meet_where_all_cameras_look():
    np.testing.assert_allclose(meeting_point(ring()), [0, -0.3, 0], atol=1e-9)


def test_any_world_is_turned_so_that_the_floor_is_at_zero_and_y_is_down():
    cameras, points = moved(ring(), stage())
    world = find_world(cameras, points, scale=2.5, is_metric=True)
    placed = world.points(points)
    assert np.abs(placed[:300, 1]).max() < 0.02
    assert placed[300:, 1].mean() < -0.2
    assert world.floor_share == pytest.approx(0.6, abs=0.1)
    for before, after in zip(cameras, map(world.camera, cameras), strict=True):
        np.testing.assert_allclose(exact(before, points), exact(after, placed), atol=1e-6)
        assert after.center[1] < 0
        np.testing.assert_allclose(
            after.world_to_camera[:3, :3] @ after.world_to_camera[:3, :3].T, np.eye(3), atol=1e-9
        )
    gaps = [np.linalg.norm(world.camera(c).center - world.camera(cameras[0]).center) for c in cameras[1:]]
    true = [np.linalg.norm(c.center - ring()[0].center) for c in ring()[1:]]
    np.testing.assert_allclose(gaps, true, rtol=1e-6)


def test_without_a_floor_down_is_as_the_cameras_say():
    cameras, _ = moved(ring(), stage())
    world = find_world(cameras, np.zeros((0, 3)), 1.0, False)
    assert world.floor_share == 0
    np.testing.assert_allclose(mean_down([world.camera(camera) for camera in cameras]), [0, 1, 0], atol=1e-6)


def test_a_wall_is_no_floor():
    rng = np.random.default_rng(0)
    wall = np.stack([np.full(200, 0.5), *rng.uniform(-1, 1, (2, 200))], 1)
    centers = np.stack([camera.center for camera in ring()])
    assert find_floor(wall, np.array([0, 1.0, 0]), centers, 0.01) is None


def test_the_baseline_gives_metres():
    cameras = ring()
    distance = float(np.linalg.norm(cameras[0].center - cameras[3].center))
    names = [camera.image_name for camera in cameras]
    assert scale_from_baseline(cameras, names, "cam_00", "cam_03", 2 * distance) == pytest.approx(2)
    with pytest.raises(UserError, match="two different cameras of cam_00"):
        scale_from_baseline(cameras, names, "cam_00", "nobody", 1)
