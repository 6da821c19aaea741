"""Scores of point tracks: hand-made tracks on which each rule of the definitions changes the number."""

import numpy as np
import pytest

from utils.point_track_metrics import (
    TrackErrors,
    delta,
    in_picture,
    median_error,
    pixel_errors,
    pixel_lengths,
    space_errors,
    survival,
    track_scores,
    visibility_scores,
)


def tracks(errors, valid=None, start=0):
    """Tracks [T, P] from one list per track."""
    errors = np.array(errors, float).T
    valid = np.ones_like(errors, bool) if valid is None else np.array(valid, bool).T
    return TrackErrors(errors, valid, np.broadcast_to(start, errors.shape[1]))


def test_both_axes_are_scaled_to_256_by_themselves():
    found, truth = np.array([[10.0, 10.0], [np.nan, 3.0]]), np.array([[13.0, 6.0], [1.0, 1.0]])
    errors = pixel_errors(found, truth, (512, 128))
    assert errors[0] == pytest.approx(np.hypot(3 / 2, 4 * 2))
    assert errors[1] == np.inf, "no prediction is a failure"


def test_distances_in_space_are_in_the_unit_of_the_thresholds():
    found, truth = np.zeros((1, 2, 3)), np.array([[[0.03, 0.04, 0.0], [0.0, 0.0, 0.1]]])
    np.testing.assert_allclose(space_errors(found, truth, 100.0), [[5.0, 10.0]])
    np.testing.assert_allclose(space_errors(found, truth, np.array([100.0, 50.0])), [[5.0, 5.0]])
    assert (space_errors(found * np.nan, truth, 1.0) == np.inf).all()


def test_the_border_of_the_picture_does_not_count():
    """1 and W - 2 are still in, where the first pixel's centre is at 0, i.e. 1.5 and W - 1.5 where it is at 0.5."""
    pixels = [[1.5, 5], [1.49, 5], [18.5, 5], [18.51, 5], [5, 1.5], [5, 8.5], [5, 8.6], [np.nan, 5], [np.inf, 5]]
    expected = [True, False, True, False, True, True, False, False, False]
    assert in_picture(np.array(pixels), (20, 10)).tolist() == expected


def test_delta_is_strict_pooled_and_without_the_start():
    one = tracks([[0, 0.5, 1.0], [0, 3.0, 3.0]])
    assert delta(one, 1) == pytest.approx(25), "1.0 is not below 1; the zeros of the start do not count"
    assert delta(one, 4) == 100
    uneven = tracks([[0, 0.5, 9], [0, 9, 9]], [[1, 1, 0], [1, 1, 1]])
    assert delta(uneven, 1) == pytest.approx(100 / 3), "pairs are pooled; a mean over tracks would be 50"


def test_delta_average():
    scores = track_scores(tracks([[0, 0.5, 1.5, 3, 30]]))
    assert [scores[f"delta_{x}"] for x in (1, 2, 4, 8, 16)] == [25, 50, 75, 75, 75] and scores["delta_avg"] == 60


def test_survival_ends_at_the_first_loss_and_counts_the_start():
    assert survival(tracks([[0, 60, 0, 0]]), 50) == 25, "it does not come back; the start counts"
    assert survival(tracks([[0, 50, 50, 50.1]]), 50) == 75, "50 is not above 50"
    assert survival(tracks([[0, 60, 0, 0]], [[1, 0, 1, 1]]), 50) == 100, "what is not valid is no loss"
    assert survival(tracks([[0, 20, 0, 0], [0, 0, 0, 0]]), 16) == pytest.approx(100 * 5 / 8)
    assert survival(tracks([[0, np.inf]]), 50) == 50


def test_median_error_includes_the_start_and_is_a_mean_over_tracks():
    assert median_error(tracks([[0, 2, 8]])) == 2, "without the start it would be 5"
    assert median_error(tracks([[0, 2, 8], [0, 0, 0]])) == 1, "the pooled median would be 0"
    assert median_error(tracks([[0, 2, 8]], [[1, 0, 1]])) == 4, "median of 0 and 8"
    assert median_error(tracks([[0, 2, 8], [7, 7, 7]], [[1, 1, 1], [0, 0, 0]])) == 2, "nothing valid: left out"
    assert np.isnan(median_error(tracks([[1]], [[0]])))


def test_what_lies_before_the_start_does_not_count():
    late = tracks([[99, 99, 0, 3, 3]], start=2)
    scores = track_scores(late)
    assert scores["MTE"] == 3 and scores["delta_4"] == 100 and scores["delta_2"] == 0 and scores["survival_16"] == 100


def test_a_missing_prediction_is_a_failure():
    scores = track_scores(tracks([[0, np.inf, np.inf]]))
    assert scores["MTE"] == np.inf and scores["delta_avg"] == 0 and scores["survival_50"] == pytest.approx(100 / 3)


def test_chosen_tracks():
    chosen = tracks([[0, 1], [0, 2], [0, 3]], start=np.array([0, 1, 0])).of(np.array([False, True, True]))
    assert chosen.errors.tolist() == [[0, 0], [2, 3]] and chosen.start.tolist() == [1, 0]


def test_visibility_by_hand():
    """After the start: seen rightly and near, seen rightly but far (3), missed, seen though hidden."""
    errors = tracks([[0, 0.5, 3.0, 0.5, 0.5]])
    found, truth = np.array([[1, 1, 1, 0, 1]], bool).T, np.array([[1, 1, 1, 1, 0]], bool).T
    scores = visibility_scores(errors, found, truth)
    assert scores["OA"] == 50
    assert scores["APD"] == pytest.approx(np.mean([200 / 3, 200 / 3, 100, 100, 100]))
    # below 3: 1 right, 3 visible, 2 wrong (far, hidden); from 4 on: 2 right, 3 visible, 1 wrong
    assert scores["AJ"] == pytest.approx(100 * np.mean([1 / 5, 1 / 5, 2 / 4, 2 / 4, 2 / 4]))


def test_visibility_counts_valid_pairs_after_the_start_only():
    errors = tracks([[0, 0, 0, 0]], [[1, 1, 0, 1]], start=1)
    truth = np.array([[0, 0, 0, 1]], bool).T
    scores = visibility_scores(errors, np.ones((4, 1), bool), truth)
    assert scores == {"OA": 100, "APD": 100, "AJ": 100}


def test_the_unit_of_three_dimensional_thresholds():
    assert pixel_lengths(np.array([2.0]), 100.0, 400.0) == pytest.approx(2 / 200)
