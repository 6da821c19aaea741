from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from capture.calibrate import Correspondences, calibrate, check_registered, merged
from capture.features import Features
from capture.undistort import with_size_of
from tests.capture.rigs import HEIGHT, WIDTH, exact, ring
from utils.errors import UserError


def seen_points(cameras, count=150, moments=2):
    """Exact matches of points that are elsewhere at every moment."""
    rng = np.random.default_rng(0)
    worlds = [rng.uniform([-0.7, -0.9, -0.7], [0.7, 0.3, 0.7], (count, 3)) for _ in range(moments)]
    blank = np.zeros((count, 384), np.float32)
    features = [[Features(exact(c, points).astype(np.float32), blank) for points in worlds] for c in cameras]
    rows = np.stack([np.arange(count)] * 2, 1)
    pairs = {(a, b): [rows] * moments for a in range(len(cameras)) for b in range(a + 1, len(cameras))}
    return Correspondences(features, pairs)


def test_points_of_one_place_are_one_but_not_those_of_two_moments():
    pixels = np.float32([[10, 10], [10.5, 10], [40, 30]])
    one = Features(pixels, np.zeros((3, 384), np.float32))
    rows = np.array([[0, 0], [1, 1], [2, 2]])
    places = merged(Correspondences([[one, one], [one, one]], {(0, 1): [rows, rows]}))
    assert [len(part) for part in places.pixels] == [4, 4]
    assert len(places.matches[0, 1]) == 4


def test_cameras_that_were_not_placed_are_listed():
    found = seen_points(ring(3), count=5)
    model = SimpleNamespace(images={1: SimpleNamespace(name="0001.png", has_pose=True, num_points3D=90)})
    with pytest.raises(UserError, match=r"2 of 3 cameras could not be placed: left \(20 matches\), top"):
        check_registered(["left", "right", "top"], model, found)


def test_a_camera_that_lost_all_its_points_was_not_placed():
    images = {n: SimpleNamespace(name=f"{n:04d}.png", has_pose=True, num_points3D=90 * (n > 0)) for n in range(3)}
    with pytest.raises(UserError, match="1 of 3 cameras could not be placed: left"):
        check_registered(["left", "right", "top"], SimpleNamespace(images=images), seen_points(ring(3), count=5))


def test_exact_matches_of_moving_points_give_the_cameras():
    pytest.importorskip("pycolmap")
    true = [with_size_of(camera, (10 * WIDTH, 10 * HEIGHT)) for camera in ring(7)]
    images = [np.zeros((10 * HEIGHT, 10 * WIDTH, 3), np.uint8)] * 7
    result = calibrate([camera.image_name for camera in true], images, seen_points(true))
    assert max(result.errors_px) < 0.05
    focal = [camera.fx for camera in result.cameras]
    np.testing.assert_allclose(focal, 800.0, rtol=0.01)
    gaps = [np.array([np.linalg.norm(a.center - b.center) for b in cameras for a in cameras])
            for cameras in (result.cameras, true)]  # fmt: skip
    ratio = gaps[0][gaps[1] > 0] / gaps[1][gaps[1] > 0]
    assert ratio.std() / ratio.mean() < 0.02
