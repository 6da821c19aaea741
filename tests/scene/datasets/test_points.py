"""The cloud beside a data set."""

from __future__ import annotations

import numpy as np
import pytest

from scene.datasets.points import find_points
from scene.formats.ply import write_points
from scene.scene_info import PointCloud


@pytest.mark.parametrize("name", ["points3D.ply", "points3d.ply"])
def test_either_spelling(tmp_path, name):
    assert find_points(tmp_path) is None
    write_points(tmp_path / name, PointCloud(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)))
    np.testing.assert_array_equal(find_points(tmp_path).positions, np.eye(3))


def test_an_empty_cloud_is_none(tmp_path):
    write_points(tmp_path / "points3d.ply", PointCloud(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)))
    assert find_points(tmp_path) is None
