"""Scores of hand-made tracks: which pairs of points and cameras count, and in which unit."""

import numpy as np
import pytest
import torch

from gaussian_renderer.anchors import project
from gaussian_renderer.point_scores import score_tracks, table
from gaussian_renderer.point_tracks import PointTracks
from gaussian_renderer.true_points import TruePoints
from gaussian_renderer.view_paths import ViewPath
from tests.blobs import ring_cameras

TIMES = np.array([0.0, 0.5, 1.0])
PATHS = [ViewPath(str(index), (camera,) * 3) for index, camera in enumerate(ring_cameras(4)[:2])]
POINTS = np.zeros((3, 3, 3))
POINTS[:, 1, 0] = 0.8  # with the first the ends of an object of size 0.8, which moves up
POINTS[:, :2, 1] = [[0.0, 0.0], [-0.2, -0.2], [-0.4, -0.4]]
POINTS[:, 2] = [-0.8, 0.1, 0.4]  # stands still, alone
LABELS = np.array([3, 3, 7])


def truth(**change):
    visible = np.ones((3, 2, 3), bool)
    return TruePoints(**(dict(times=TIMES, start=np.zeros(3, int), cameras=(0, 1), points=POINTS, labels=LABELS,
                              visible=visible) | change))  # fmt: skip


def found(points=POINTS, visible=None):
    """Tracks at these places."""
    pixels = [[project(path.cameras[t], torch.from_numpy(points[t]))[0].numpy() for path in PATHS] for t in range(3)]
    visible = np.ones((3, 2, points.shape[1]), bool) if visible is None else visible
    names, nothing = np.array(["0", "1"]), np.zeros(3)
    return PointTracks(TIMES, points, names, np.array(pixels), visible, points[0], nothing, nothing, nothing)


def moved(offset, moments=slice(1, None), point=0):
    points = POINTS.copy()
    points[moments, point] += offset
    return points


def test_perfect_tracks():
    scores = score_tracks(found(), truth(), PATHS, 1.0)
    assert list(scores) == ["3d_cm", "3d_percent", "moving_percent", "object_3_percent", "object_7_percent", "2d",
                            "3d_px"]  # fmt: skip
    for row in scores.values():
        assert row.get("MTE", 0) == 0 and row.get("delta_avg", 100) == 100 and row.get("AJ", 100) == 100


def test_units_in_space():
    tracks = found(moved([0, 0, 0.08]))
    scores = score_tracks(tracks, truth(), PATHS, 1.0)
    assert scores["3d_cm"]["MTE"] == pytest.approx(8 / 3), "8 cm, of one of three points"
    assert score_tracks(tracks, truth(), PATHS, 0.25)["3d_cm"]["MTE"] == pytest.approx(2 / 3)
    assert scores["3d_percent"]["MTE"] == pytest.approx(10 / 3), "the object is 0.8 large"
    assert scores["moving_percent"]["tracks"] == 2 and scores["moving_percent"]["MTE"] == pytest.approx(5)
    assert scores["object_3_percent"]["delta_8"] == 50 and scores["object_7_percent"]["MTE"] == 0


def test_pairs_are_those_that_a_camera_sees_at_the_start():
    visible = np.ones((3, 2, 3), bool)
    visible[0, 1, 0] = visible[1:, 0, 0] = False  # hidden later: stays valid
    tracks = found(moved([0, 0.5, 0]))
    scores = score_tracks(tracks, truth(visible=visible), PATHS, 1.0)["2d"]
    assert scores["tracks"] == 5
    assert scores["delta_16"] == pytest.approx(100 * 8 / 10), "one of five pairs is off at both moments after the start"
    both = score_tracks(tracks, truth(), PATHS, 1.0)["2d"]
    assert both["tracks"] == 6 and both["delta_16"] == pytest.approx(100 * 8 / 12)


def test_pixels_are_those_of_a_picture_of_256():
    tracks = found()
    tracks.pixels[1:, :, :, 0] += 3.0
    scores = score_tracks(tracks, truth(), PATHS, 1.0)["2d"]
    assert scores["MTE"] == pytest.approx(3 * 256 / 48, rel=1e-5)


def test_visibility():
    visible = np.ones((3, 2, 3), bool)
    visible[2] = False
    scores = score_tracks(found(visible=visible), truth(), PATHS, 1.0)
    assert scores["2d"]["OA"] == scores["2d"]["AJ"] == scores["3d_px"]["AJ"] == 50 and scores["2d"]["APD"] == 100


def test_errors_in_space_are_counted_in_pixels_at_their_depth():
    """Along the ray of a camera nothing moves in its picture, but in space."""
    camera = PATHS[0].cameras[0]
    z = float(project(camera, torch.zeros(1, 3, dtype=torch.float64))[1])
    length = z / np.sqrt(camera.fx * camera.fy)
    away = torch.nn.functional.normalize(-camera.center, dim=0).numpy()
    still = np.zeros((3, 1, 3))
    off = still.copy()
    off[1:] += 3 * length * away
    one = truth(points=still, labels=np.array([1]), start=np.zeros(1, int), visible=np.ones((3, 1, 1), bool),
                cameras=(0,))  # fmt: skip
    scores = score_tracks(found(off).of_cameras(1), one, PATHS[:1], 1.0)
    assert scores["2d"]["APD"] == 100 and scores["3d_px"]["APD"] == pytest.approx(60), "nearer than 4, 8 and 16"


def test_truth_in_pictures_only():
    tracks = found()
    pixels = np.full((3, 2, 3, 2), np.nan)
    for point, camera in ((0, 1), (1, 0), (2, 0)):
        pixels[:, camera, point] = tracks.pixels[:, camera, point]
    scores = score_tracks(tracks, truth(points=None, labels=None, visible=None, pixels=pixels), PATHS, 1.0)
    assert list(scores) == ["2d"] and scores["2d"]["tracks"] == 3 and "AJ" not in scores["2d"]
    assert scores["2d"]["MTE"] == 0


def test_a_missing_track_is_a_failure():
    scores = score_tracks(found(moved(np.nan)), truth(), PATHS, 1.0)
    assert scores["3d_cm"]["survival_50"] == pytest.approx(100 * 7 / 9) and scores["3d_cm"]["MTE"] == np.inf


def test_a_table_has_a_line_for_each_name():
    lines = table({"3d": {"tracks": 3, "MTE": 1.5}, "2d": {"tracks": 12, "AJ": 50.0}}).splitlines()
    assert [line.split() for line in lines] == [["tracks", "MTE", "AJ"], ["3d", "3", "1.50"], ["2d", "12", "50.00"]]
    assert len({len(line) for line in lines}) == 1
