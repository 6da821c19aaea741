"""Plans show cameras and points unmirrored, the right way up, from above and from the side."""

from __future__ import annotations

import numpy as np
import pytest

from capture.plans import BACKDROP, FIRST, SIDE_PX, TEST, TRAIN, draw_plan, world_plans
from scene.scene_info import PointCloud
from tests.capture.rigs import ring


def cloud(*positions, colour=(0.0, 1.0, 0.0)) -> PointCloud:
    points = np.array(positions, np.float32)
    return PointCloud(points, np.tile(np.array(colour, np.float32), (len(points), 1)))


def test_axes_are_a_view_and_not_its_mirror_image():
    plans = world_plans(ring(6), cloud((0, 0, 0)))
    down = np.array([0.0, 1.0, 0.0])  # the cameras of a ring stand upright
    for plan in plans.values():
        np.testing.assert_allclose(plan.axes @ plan.axes.T, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(np.cross(*plans["top"].axes), down, atol=0.05)  # looks down
    np.testing.assert_allclose(plans["side"].axes[1], down, atol=0.05)


def test_everything_is_in_the_picture_whatever_the_world_looks_like():
    cameras = ring(5)
    positions = np.random.default_rng(0).normal(size=(400, 3))
    for plan in world_plans(cameras, cloud(*positions)).values():
        places = plan.place(np.stack([camera.center for camera in cameras]))
        assert (places > 0).all() and (places < SIDE_PX).all()
        assert ((plan.place(positions) > 0) & (plan.place(positions) < SIDE_PX)).all(1).mean() > 0.85
    near = world_plans(cameras, cloud(*positions))["top"].reach
    stray = np.concatenate([positions, [[1e6, 0, 0]]])
    assert world_plans(cameras, cloud(*stray))["top"].reach == pytest.approx(near, rel=0.05)


def test_cameras_and_points_are_drawn_in_their_colours():
    cameras, point = ring(6), (0.2, -0.3, 0.1)
    plan = world_plans(cameras, cloud(point))["top"]
    image = draw_plan(plan, cameras[:4], cloud(point), cameras[4:])
    column, row = plan.place(np.array(point, np.float32).astype(np.float64)).astype(int)
    assert image[row, column].tolist() == [0, 255, 0]
    for colour in (FIRST, TRAIN, TEST):
        assert (image == colour).all(2).any()
    column, row = plan.place(cameras[2].center).astype(int)
    assert (image[row - 1 : row + 2, column - 1 : column + 2] == TRAIN).all(2).any()


def test_one_camera_and_no_points_are_no_trouble():
    for cameras, points in ((ring(1), None), (ring(1) * 2, cloud((0, 0, 0)))):
        for plan in world_plans(cameras, points).values():
            assert np.isfinite(plan.axes).all() and plan.reach > 0
            assert (draw_plan(plan, cameras, points) != BACKDROP).any()
