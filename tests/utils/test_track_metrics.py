"""Scores of tracks against numbers worked out by hand."""

import numpy as np
import pytest

from utils.track_metrics import survival, track_metrics


def test_perfect_tracks():
    scores = track_metrics(np.zeros((4, 3)), 1, 2.0)
    assert scores == {
        "track_error": 0,
        "track_error_percent": 0,
        "MTE": 0,
        "delta_avg": 100,
        "survival_16": 100,
        "survival_50": 100,
    }


def test_scores_by_hand():
    """Two tracks of an object of size 10; the start, moment 0, counts for MTE and survival only."""
    errors = np.array([[0.0, 0.0], [0.3, 0.1], [0.3, 3.0], [0.3, 0.1]])
    scores = track_metrics(errors, 0, 10.0)
    assert scores["track_error"] == pytest.approx((0.3 * 3 + 0.1 + 3.0 + 0.1) / 6)
    assert scores["track_error_percent"] == pytest.approx(100 * scores["track_error"] / 10)
    assert scores["MTE"] == pytest.approx((0.3 + 0.1) / 2)
    # 3 pairs at 3 %, 2 at 1 % (which is not nearer than 1 %), 1 at 30 %
    assert scores["delta_avg"] == pytest.approx(100 * np.mean([0, 2 / 6, 5 / 6, 5 / 6, 5 / 6]))
    assert scores["survival_16"] == pytest.approx(100 * 6 / 8) and scores["survival_50"] == 100


def test_a_track_survives_to_both_sides_of_its_start():
    errors = np.array([0.0, 9, 0, 0, 0, 9, 0])[:, None]
    assert survival(errors, 3, 1.0) == pytest.approx(100 * 3 / 7), "moments 2, 3 and 4"
    assert survival(errors, 6, 1.0) == pytest.approx(100 * 1 / 7)


def test_what_is_not_a_number_is_a_failure():
    scores = track_metrics(np.array([[0.0], [np.nan], [0.0]]), 0, 1.0)
    assert scores["survival_50"] == pytest.approx(100 / 3) and scores["track_error"] == np.inf
