"""Sharp frames, evenly spread."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from capture.ingest import open_video
from capture.video_frames import choose_frames, frame_count, measure_sharpness, sharpness_of, take_frames
from utils.errors import UserError
from utils.image_io import read_image
from utils.video import VideoWriter


def write_video(path, sharp, fps=10):
    """Frames of one noise picture, blurred unless their number is in `sharp`."""
    noise = cv2.resize(np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8), (128, 96))
    with VideoWriter(path, fps) as video:
        for index in range(60):
            video.add(noise if index in sharp else cv2.blur(noise, (9, 9)))
    return path


def test_the_sharpest_of_each_span_is_taken(tmp_path):
    sharp = [4, 15, 26, 34, 44, 56]
    names = take_frames(write_video(tmp_path / "a.mp4", sharp), tmp_path / "input", 6, None)
    assert names == [f"{index:06d}.jpg" for index in sharp]
    assert read_image(tmp_path / "input" / names[0]).shape == (96, 128, 3)


def test_gaps_stay_even_whatever_is_sharp():
    times, random = np.arange(1000) / 30, np.random.default_rng(1)
    for count in (7, 40, 333):
        chosen = choose_frames(times, random.random(1000), count)
        span = 1000 / count
        assert len(chosen) == count
        gaps = np.diff(chosen)
        assert gaps.min() >= span / 2 - 1 and gaps.max() <= 1.5 * span + 1
    assert choose_frames(times, np.zeros(1000), 1000) == list(range(1000))


def test_uneven_times_leave_spans_without_frames_out():
    times = np.array([0.0, 0.1, 0.2, 5.0, 5.1])
    assert choose_frames(times, np.array([1.0, 3, 2, 1, 2]), 4) == [1, 4]


def test_blur_lowers_the_measure(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1000, 900, 3)).astype(np.uint8)
    values = [sharpness_of(cv2.GaussianBlur(image, (0, 0), sigma)) for sigma in (1, 2, 4, 8)]
    assert values == sorted(values, reverse=True)
    assert sharpness_of(np.full((10, 10, 3), 7, np.uint8)) == 0
    video = open_video(write_video(tmp_path / "a.mp4", {20}))
    assert measure_sharpness(video).argmax() == 20


def test_the_number_of_frames_follows_the_flags(tmp_path):
    video = open_video(write_video(tmp_path / "a.mp4", ()))  # 6 s at 10 fps
    assert frame_count(video, 0, None) == 40  # not fewer by default
    assert frame_count(video, 0, 5) == 30 and frame_count(video, 12, None) == 12
    assert frame_count(video, 500, None) == 60 and frame_count(video, 0, 0.01) == 2
    for numbers in ((-1, None), (0, 0.0)):
        with pytest.raises(UserError, match="positive"):
            frame_count(video, *numbers)


def test_no_video_is_one_line(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a readable video"):
        take_frames(tmp_path / "a.mp4", tmp_path / "input", 0, None)
