"""Paths of selected Gaussians: what is kept, what is written, and how true points on them are scored."""

import numpy as np
import pytest
import torch

from gaussian_renderer.time_paths import distinct_times
from gaussian_renderer.tracks import Tracks, TrueTracks, sampled, track_scores
from tests.moving_blobs import moving_blobs, timed_ring
from utils.errors import UserError

TIMES = [0.0, 0.25, 0.5, 1.0]
MODEL = moving_blobs()
NUMBERS = torch.arange(120) // 40 + 1


def followed(indices=None, times=TIMES):
    return Tracks.of(MODEL, NUMBERS, torch.arange(40) if indices is None else indices, times)


def truth_on(tracks, offset=0.0, visible=True):
    """True points that ride on the Gaussians, `offset` along x of where these are."""
    points = tracks.means.double() + torch.tensor([offset, 0.0, 0.0])
    seen = torch.full(points.shape[:2], visible)
    return TrueTracks(tracks.times, points, tracks.labels, seen)


def test_tracks_come_back_from_disk(tmp_path):
    tracks = followed(torch.tensor([3, 50, 119]))
    tracks.save(tmp_path / "tracks.npz")
    back = Tracks.load(tmp_path / "tracks.npz")
    assert back.times.tolist() == TIMES and back.labels.tolist() == [1, 2, 3]
    torch.testing.assert_close(back.means, tracks.means)
    torch.testing.assert_close(back.means[2], MODEL.at(0.5).means[[3, 50, 119]])
    torch.testing.assert_close(back.quats_wxyz[3], MODEL.at(1.0).quats_wxyz[[3, 50, 119]])


def test_moments_are_those_of_the_views_in_order():
    cameras = timed_ring(4)
    assert distinct_times([*reversed(cameras), *cameras]) == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_a_sample_prefers_what_is_seen():
    chosen, weight = torch.ones(1000, dtype=torch.bool), torch.cat([torch.full((500,), 9.0), torch.full((500,), 1.0)])
    chosen[::10] = False
    indices = sampled(chosen, weight, 100)
    assert len(indices) == len(indices.unique()) == 100 and chosen[indices].all()
    assert 75 < (indices < 500).sum() < 100
    assert indices.tolist() == sampled(chosen, weight, 100).tolist() == sorted(indices.tolist())
    assert len(sampled(chosen, torch.zeros(1000), 100)) == 100, "also when nothing is seen"
    assert sampled(chosen, weight, 900).tolist() == chosen.nonzero()[:, 0].tolist()


def test_points_on_gaussians_follow_them_exactly():
    tracks = followed()
    scores = track_scores(tracks, truth_on(tracks), 1, 0.0)
    assert scores["track_error"] == pytest.approx(0, abs=1e-6) and scores["survival_16"] == 100
    assert scores["track_points"] == 40 and scores["track_times"] == 4


def test_standing_still_is_an_error_of_the_way_gone():
    """The red ball rises by 1; points that do not move are 1/4, 1/2 and 1 away from the Gaussians they were on."""
    tracks = followed()
    still = truth_on(tracks)
    still.points[:] = still.points[0].clone()
    size = float((still.points[0].amax(0) - still.points[0].amin(0)).norm())
    scores = track_scores(tracks, still, 1, 0.0)
    assert scores["track_error"] == pytest.approx((0.25 + 0.5 + 1) / 3, rel=1e-4)
    assert scores["track_error_percent"] == pytest.approx(100 * (0.25 + 0.5 + 1) / 3 / size, rel=1e-4)
    assert 1 < size < 2 and scores["survival_50"] == 75, "lost at the last moment, when it is off by more than half"


def test_points_are_tied_at_the_time_of_the_click():
    tracks = followed()
    shifted = truth_on(tracks)
    shifted.points[0] += 5.0  # a wrong first moment does no harm when the click is later
    scores = track_scores(tracks, shifted, 1, 1.0)
    assert scores["MTE"] == pytest.approx(0, abs=1e-6) and scores["survival_50"] == 75


def test_moments_that_only_one_side_knows_are_left_out():
    tracks = followed()
    truth = truth_on(followed(times=[0.0, 0.3, 0.5]))
    assert track_scores(tracks, truth, 1, 0.0)["track_times"] == 2
    with pytest.raises(UserError, match="1 moments in common"):
        track_scores(followed(times=[0.0, 0.1]), truth, 1, 0.0)


def test_nothing_to_compare_is_one_line():
    tracks = followed()
    with pytest.raises(UserError, match="0 points of object 1 visible"):
        track_scores(tracks, truth_on(tracks, visible=False), 1, 0.0)
    with pytest.raises(UserError, match="0 Gaussians are selected"):
        track_scores(followed(torch.zeros(0, dtype=torch.long)), truth_on(tracks), 1, 0.0)


def test_true_tracks_of_several_cameras_are_visible_in_any(tmp_path):
    visible = np.zeros((2, 3, 4), bool)
    visible[0, 1, 2] = True
    arrays = {"times": [0, 1], "points": np.zeros((2, 4, 3)), "labels": np.arange(4, dtype=np.uint8)}
    np.savez(tmp_path / "gt.npz", visible=visible, **arrays)
    assert TrueTracks.load(tmp_path / "gt.npz").visible.tolist() == [[False, False, True, False], [False] * 4]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"points": None}, "lacks points"),
        ({"points": np.zeros((2, 3, 3))}, r"points has shape \(2, 3, 3\); expected \(2, 4, 3\)"),
        ({"labels": np.array([{}] * 4, dtype=object)}, "is no readable .npz of tracks"),
    ],
)
def test_broken_files_are_one_line(tmp_path, change, message):
    arrays = {"times": np.arange(2), "points": np.zeros((2, 4, 3)), "labels": np.arange(4)}
    arrays = {"visible": np.ones((2, 4), bool)} | arrays | change
    np.savez(tmp_path / "gt.npz", **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(UserError, match=message):
        TrueTracks.load(tmp_path / "gt.npz")


def test_files_that_are_none_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        Tracks.load(tmp_path / "tracks.npz")
    (tmp_path / "tracks.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match="is no readable .npz of tracks"):
        Tracks.load(tmp_path / "tracks.npz")
