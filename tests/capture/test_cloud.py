from __future__ import annotations

import numpy as np

from capture.calibrate import Correspondences
from capture.cloud import coloured_cloud, floor_points, thinned, triangulate, visual_hull, without_strays
from capture.features import Features
from tests.capture.rigs import ball_views, exact, ring

MIDDLE, RADIUS = np.array([0.1, -0.4, -0.05]), 0.35


def test_matches_become_points_and_wrong_ones_do_not():
    cameras, rng = ring(3), np.random.default_rng(0)
    points = rng.uniform([-0.4, -0.6, -0.4], [0.4, 0, 0.4], (40, 3))
    features = [[Features(exact(c, points).astype(np.float32), np.zeros((40, 384), np.float32))] for c in cameras]
    right = np.stack([np.arange(40)] * 2, 1)
    found = triangulate(Correspondences(features, {(0, 1): [right]}), cameras, [0])
    np.testing.assert_allclose(found, points, atol=1e-3)
    wrong = np.stack([np.arange(40), np.roll(np.arange(40), 7)], 1)
    assert len(triangulate(Correspondences(features, {(0, 1): [wrong]}), cameras, [0])) < 20


def test_the_hull_of_a_ball_is_the_ball():
    surface, side = visual_hull(ball_views(ring(10), MIDDLE, RADIUS), np.zeros(3), 1.5)
    distance = np.linalg.norm(surface - MIDDLE, axis=1)
    assert len(surface) > 1000 and side < 0.02
    assert np.percentile(distance, 5) > RADIUS - 0.08 and np.percentile(distance, 90) < RADIUS + 0.15


def test_colours_and_votes():
    views = ball_views(ring(10), MIDDLE, RADIUS)
    surface, side = visual_hull(views, np.zeros(3), 1.5)
    floor = floor_points(views, 1.0)
    assert len(floor) > 500 and not floor[:, 1].any()
    assert len(floor_points(views[:1], 1.0)) == 0 < len(floor_points(views[:1], 1.0, 1))
    cloud = coloured_cloud(views, np.concatenate([surface, floor]), side)
    is_red = cloud.colors[:, 0] - cloud.colors[:, 1] > 0.5
    assert (is_red == (cloud.foreground > 0.5)).mean() > 0.95
    assert cloud.foreground.sum() > 1000


def test_without_masks_everything_may_move():
    views = [type(view)(view.camera, view.image) for view in ball_views(ring(4), MIDDLE, RADIUS)]
    assert coloured_cloud(views, np.zeros((1, 3)), 0.01).foreground.tolist() == [1.0]


def test_thinning_keeps_one_point_a_cube_and_the_limit():
    points = np.array([[0.01, 0, 0], [0.02, 0, 0], [0.5, 0, 0], [0.9, 0, 0]])
    assert len(thinned(points, 0.1, 10)) == 3
    assert len(thinned(points, 0.1, 2)) == 2
    assert len(thinned(np.zeros((0, 3)), 0.1, 2)) == 0


def test_lonely_points_are_left_out():
    cluster = np.random.default_rng(0).uniform(-0.1, 0.1, (20, 3))
    points = np.concatenate([cluster, [[3.0, 0, 0], [0, 3.0, 0]]])
    np.testing.assert_array_equal(without_strays(points, 0.5), cluster)
    assert len(without_strays(points, 5.0)) == 22
    assert len(without_strays(points[-2:], 0.5)) == 2  # too few to tell
