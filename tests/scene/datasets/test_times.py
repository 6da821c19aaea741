"""Moments from numbers, names and files."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scene.datasets.times import moments, numbers_from_names, read_times, require_all_or_none, scaling_note
from scene.scene_info import DatasetError
from tests.scene.small_scenes import write_json


def test_moments_are_kept_and_frame_numbers_are_scaled():
    assert moments([0.25, 0.0, 1.0]) == [0.25, 0.0, 1.0]
    assert moments([0, 1, 2, 4]) == [0.0, 0.25, 0.5, 1.0]
    assert moments([7, 7]) == [0.0, 0.0] and moments([]) == []


@pytest.mark.parametrize("shift", [-3.5, 0.0, 1000.0])
def test_scaled_moments_span_0_to_1_and_keep_the_gaps(shift):
    numbers = np.sort(np.random.default_rng(0).uniform(0, 50, 20)) + shift
    scaled = np.array(moments(numbers.tolist()))
    assert scaled.min() == 0 and scaled.max() == 1
    np.testing.assert_allclose(np.diff(scaled) / np.diff(numbers), 1 / np.ptp(numbers))


def test_a_change_of_the_numbers_is_said(tmp_path):
    assert scaling_note([0.0, 1.0], tmp_path) == [] == scaling_note([], tmp_path)
    assert "times 0 to 59 are used as 0 to 1" in scaling_note([0.0, 59.0], tmp_path)[0]


def test_names_as_numbers_or_ranks():
    assert numbers_from_names(["left/0007.png", "left/0003.jpg"]) == [7, 3]
    assert numbers_from_names(["frame10.png", "frame9.png", "frame1.png"]) == [2, 1, 0]


def test_times_for_some_pictures_only(tmp_path):
    require_all_or_none([], 3, tmp_path)
    require_all_or_none(["a", "b", "c"], 3, tmp_path)
    with pytest.raises(DatasetError, match=r"1 of 3 pictures have no time \(b\)"):
        require_all_or_none(["b"], 3, tmp_path)


def test_file_of_times_with_and_without_extension_and_others(tmp_path):
    write_json(tmp_path / "times.json", {"a.png": 0, "cam/b": 2.5, "unregistered.png": 9})
    numbers, notes = read_times(tmp_path / "times.json", ["cam/b.jpg", "a.png"])
    assert numbers == [2.5, 0.0]
    assert len(notes) == 1 and "ignored 1 times of other images (unregistered.png)" in notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([0, 1], "is no table"),
        ({"x.png": 0}, "names none of the 2 images"),
        ({"a.png": 0}, r"1 of 2 pictures have no time \(b.png\)"),
        ({"a.png": 0, "b.png": math.nan}, "b.png: holds NaN"),
        ({"a.png": 0, "b.png": "late"}, "b.png: holds no numbers"),
        ({"a.png": 0, "b.png": None}, "b.png is missing"),
        ({"a.png": 0, "b.png": [1, 2]}, r"b.png: has shape \[2\]"),
        ({"a.png": 0, "b.png": 10**400}, "b.png: holds no numbers"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, content, message):
    write_json(tmp_path / "times.json", content)
    with pytest.raises(DatasetError, match=message) as caught:
        read_times(tmp_path / "times.json", ["a.png", "b.png"])
    assert "\n" not in str(caught.value)
