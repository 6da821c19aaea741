"""Following points, looking at them, and what is written."""

import csv

import numpy as np
import pytest
import torch

from gaussian_renderer.anchors import project
from gaussian_renderer.point_queries import CarrierRules, carriers_of_points
from gaussian_renderer.point_tracks import Watch, as_tracks, follow
from gaussian_renderer.view_paths import ViewPath, path_of
from tests.blobs import CENTRES, REFERENCE, ring_cameras
from tests.moving_blobs import moving_blobs

TIMES = [0.0, 0.5, 1.0]
VIEWS = ring_cameras(4)
PATHS = [path_of(VIEWS[index], VIEWS, TIMES) for index in (0, 2)]


@pytest.fixture(scope="module")
def tracks():
    model = moving_blobs()
    carriers = carriers_of_points(model, CENTRES, torch.zeros(3), CarrierRules())
    points = follow(model, carriers, TIMES)
    seen = Watch(model, REFERENCE, torch.zeros(3), 0.5).observe(points, PATHS, lambda path: [])
    return as_tracks(carriers, TIMES, points, PATHS, seen)


def test_points_are_where_their_carriers_are(tracks):
    assert tracks.points.shape == (3, 3, 3) and tracks.query_points.tolist() == CENTRES.tolist()
    np.testing.assert_allclose(tracks.points[2, 0] - tracks.points[0, 0], [0, -1, 0], atol=0.05)


def test_pixels_are_projections(tracks):
    assert tracks.pixels.shape == (3, 2, 3, 2) and tracks.visible.shape == (3, 2, 3)
    for moment in range(3):
        expected = project(VIEWS[2], torch.from_numpy(tracks.points[moment]))[0]
        np.testing.assert_allclose(tracks.pixels[moment, 1], expected, atol=1e-3)


def test_behind_a_camera_there_is_no_pixel(tmp_path):
    model, behind = moving_blobs(), VIEWS[0].center[None] * 2
    carriers = carriers_of_points(model, behind, torch.zeros(1), CarrierRules())
    points = follow(model, carriers, TIMES)
    path = ViewPath("front", PATHS[0].cameras)
    pixels, visible = Watch(model, REFERENCE, torch.zeros(3), 0.5).observe(points, [path], lambda path: [])
    assert np.isnan(pixels).all() and not visible.any()
    as_tracks(carriers, TIMES, points, [path], (pixels, visible)).save(tmp_path)
    row = next(csv.DictReader((tmp_path / "tracks.csv").read_text().splitlines()))
    assert (row["x_front"], row["visible_front"]) == ("", "0")


def test_what_is_written_is_what_there_is(tracks, tmp_path):
    tracks.save(tmp_path)
    with np.load(tmp_path / "tracks.npz", allow_pickle=False) as arrays:
        assert set(arrays) == set(vars(tracks)) and arrays["cameras"].tolist() == ["000", "002"]
        for name, value in vars(tracks).items():
            np.testing.assert_array_equal(arrays[name], value)
    rows = list(csv.reader((tmp_path / "tracks.csv").read_text().splitlines()))
    assert len(rows) == 1 + 9 and rows[0][:6] == ["point", "moment", "time", "x", "y", "z"]
    assert [float(value) for value in rows[9][:3]] == [2, 2, 1]
    assert float(rows[9][7]) == pytest.approx(tracks.pixels[2, 0, 2, 1], abs=0.005)
    assert rows[9][11] == str(int(tracks.visible[2, 1, 2]))


def test_the_first_cameras_alone(tracks):
    first = tracks.of_cameras(1)
    assert first.cameras.tolist() == ["000"] and first.pixels.shape == (3, 1, 3, 2) and first.points is tracks.points
