"""Queries from files, good ones and bad ones."""

import json

import numpy as np
import pytest
import torch

from gaussian_renderer.queries import PixelQuery, PointQuery, grid_queries, moving_gaussians, read_queries
from tests.blobs import REFERENCE, blob_labels, ring_cameras
from tests.moving_blobs import moving_blobs
from utils.errors import UserError


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_tables(tmp_path):
    path = written(tmp_path, "a.csv", "\ufeffview,x,y,z,time\n3/000001.jpg,1.5,2.5,,\n,1,-2,3e-1,0.25\n")
    assert read_queries(path) == [PixelQuery("3/000001.jpg", 1.5, 2.5), PointQuery((1, -2, 0.3), 0.25)]
    assert read_queries(written(tmp_path, "b.csv", "x,y,view\n1,2,0\n")) == [PixelQuery("0", 1, 2)]
    assert read_queries(written(tmp_path, "c.csv", "x,y,z,time\n1,2,3,1\n")) == [PointQuery((1, 2, 3), 1)]


def test_lists(tmp_path):
    path = written(tmp_path, "a.json", [{"view": 7, "x": 1, "y": 2}, {"x": 1, "y": 2, "z": 3, "time": 0}])
    assert read_queries(path) == [PixelQuery("7", 1, 2), PointQuery((1, 2, 3), 0)]


def test_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", query_points=np.arange(6.0).reshape(2, 3), query_times=[0.0, 1.0])
    assert read_queries(tmp_path / "a.npz") == [PointQuery((0, 1, 2), 0), PointQuery((3, 4, 5), 1)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "view,x\n0,1\n", "row 1: no y"),
        ("a.csv", "x,y,z,time\n1,2,3,0\n1,2,no,0\n", "row 2: could not convert"),
        ("a.csv", "x,y,z,time\n1,2,nan,0\n", "row 1: nan is no finite number"),
        ("a.csv", "x,y,z,time\n1,2,3,1.5\n", "row 1: time is 1.5, not in 0 to 1"),
        ("a.csv", "x,y,z,time\n", "has no rows"),
        ("a.csv", "", "has no rows"),
        ("a.json", {"x": 1}, "expected a list of objects"),
        ("a.json", [{"view": "0", "x": [], "y": 0}], "row 1: "),
        ("a.json", "[1", "is not valid JSON"),
        ("a.npz", "no npz", "is no readable .npz"),
    ],
)
def test_bad_files_are_one_line(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        read_queries(written(tmp_path, name, content))


def test_bad_tables_and_arrays(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"x,y,z,time\n\xff\xfe,1,2,3\n")
    with pytest.raises(UserError, match="no readable .csv"):
        read_queries(tmp_path / "a.csv")
    np.savez(tmp_path / "a.npz", query_points=np.zeros((2, 2)), query_times=np.zeros(2))
    with pytest.raises(UserError, match=r"query_points is \(2, 2\)"):
        read_queries(tmp_path / "a.npz")


def test_a_grid_lies_on_what_moves():
    model, camera = moving_blobs(), ring_cameras(4)[0]
    moving = moving_gaussians(model, [0.0, 0.5, 1.0], 4.0)
    assert (moving == (blob_labels() == 0)).all()
    found = grid_queries(camera, model, 24, moving, REFERENCE)
    assert len(found) > 5 and all(query.view == camera.image_name for query in found)
    assert {(query.x % 2, query.y % 2) for query in found} == {(1.0, 1.0)}, "48 px have 24 cells of 2 px"
    finer = grid_queries(camera, model, 48, moving, REFERENCE)
    assert 2.5 < len(finer) / len(found) < 6
    with pytest.raises(UserError, match="nothing that moves"):
        grid_queries(camera, model, 24, torch.zeros(120, dtype=torch.bool), REFERENCE)
