"""The Z-shaped curve: a permutation that keeps neighbours together."""

from __future__ import annotations

import numpy as np

from utils.morton import morton_order


def test_corners_of_a_cube_come_in_the_order_of_their_bits():
    corners = np.array([[i & 1, i >> 1 & 1, i >> 2] for i in range(8)], np.float32)
    shuffled = np.random.default_rng(0).permutation(8)
    np.testing.assert_array_equal(shuffled[morton_order(corners[shuffled])], np.arange(8))


def test_neighbours_stay_together():
    points = np.random.default_rng(0).random((4096, 3)).astype(np.float32)
    order = morton_order(points)
    np.testing.assert_array_equal(np.sort(order), np.arange(4096))
    chunks = points[order].reshape(-1, 256, 3)
    assert np.ptp(chunks, axis=1).mean() < 0.55 * np.ptp(points.reshape(-1, 256, 3), axis=1).mean()


def test_degenerate_clouds():
    assert len(morton_order(np.zeros((0, 3), np.float32))) == 0
    np.testing.assert_array_equal(morton_order(np.full((4, 3), 2.5, np.float32)), np.arange(4))
