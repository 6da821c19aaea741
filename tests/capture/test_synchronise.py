from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from capture.ingest import Recording
from capture.synchronise import best_lag, fit_offsets, flash_moments, pairwise_lags, synchronise
from utils.errors import UserError
from utils.image_io import write_png


def curves_with(starts, length=120):
    rng = np.random.default_rng(3)
    event = np.convolve(rng.normal(size=length + max(starts)), np.ones(3), "same")
    return [event[start : start + length] * gain + 5 + 0.2 * rng.normal(size=length) for gain, start in
            zip(np.linspace(0.5, 3, len(starts)), starts, strict=True)]  # fmt: skip


def recording(name, count=10, fps=10.0):
    return Recording(name, Path(name), np.arange(count) / fps, (8, 8))


def test_the_lag_says_how_much_later_the_second_started():
    first, second = curves_with([0, 7])
    lag, score = best_lag(first, second)
    assert lag == 7 and score > 0.8
    assert best_lag(second, first)[0] == -7


def test_offsets_survive_a_pair_that_is_wrong():
    starts = np.array([0, 7, 3, 12])
    lags, weights = pairwise_lags(curves_with(starts.tolist()))
    lags[0, 1], lags[1, 0] = 50, -50
    offsets, residuals = fit_offsets(lags, weights)
    np.testing.assert_allclose(offsets - offsets[0], starts, atol=0.4)
    assert residuals.max() < 1


def test_motion_of_pictures_gives_offsets_in_seconds(tmp_path):
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 12, 40)
    path = np.cumsum(steps) % 60
    recordings = []
    for name, start in (("a", 0), ("b", 4), ("c", 2)):
        pictures = []
        for index in range(24 + (name == "a")):
            image = np.zeros((32, 96, 3), np.uint8)
            image[8:24, path[start + index] : path[start + index] + 20] = 255
            pictures.append(tmp_path / name / f"{index:03d}.png")
            write_png(pictures[-1], image)
        recordings.append(Recording(name, tmp_path / name, np.arange(len(pictures)) / 10, (96, 32), tuple(pictures)))
    result = synchronise(recordings, "auto")
    assert result.method == "motion"
    np.testing.assert_allclose(result.offsets_sec, [0, 0.4, 0.2], atol=1e-9)


def test_equally_long_recordings_are_taken_as_they_are():
    result = synchronise([recording("a"), recording("b")], "auto")
    assert result.method == "none" and not result.offsets_sec.any()


def test_a_flash_is_found_and_its_absence_said():
    dark = [np.full(20, 50.0) for _ in range(2)]
    with pytest.raises(UserError, match="no flash"):
        flash_moments([recording("a"), recording("b")], dark)
    dark[0][5], dark[1][9] = 200, 180
    np.testing.assert_array_equal(flash_moments([recording("a"), recording("b")], dark), [4, 8])


def test_given_offsets_are_checked(tmp_path):
    path = tmp_path / "offsets.json"
    path.write_text(json.dumps({"a": 1.5, "b": 1.0}))
    np.testing.assert_allclose(synchronise([recording("a"), recording("b")], "auto", str(path)).offsets_sec, [0.5, 0])
    with pytest.raises(UserError, match="one number of seconds for each of a, c"):
        synchronise([recording("a"), recording("c")], "auto", str(path))
