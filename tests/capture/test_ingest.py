from __future__ import annotations

import numpy as np
import pytest

from capture.ingest import find_recordings, read_frames
from utils.errors import UserError
from utils.image_io import write_png
from utils.video import VideoWriter


def write_video(path, count, fps=25.0, size=(64, 48)):
    with VideoWriter(path, fps) as video:
        for index in range(count):
            video.add(np.full((size[1], size[0], 3), 10 + 20 * index, np.uint8))


def test_videos_are_found_in_natural_order_with_rate_and_frames(tmp_path):
    for name, count in (("cam_10", 4), ("cam_2", 6)):
        write_video(tmp_path / f"{name}.mp4", count)
    first, second = find_recordings(tmp_path, 30)
    assert [first.name, second.name] == ["cam_2", "cam_10"]
    assert (len(first), len(second)) == (6, 4)
    assert first.size == (64, 48) and first.is_even
    np.testing.assert_allclose(first.times_sec, np.arange(6) / 25, atol=1e-4)
    frames = dict(read_frames(first, [4, 1]))
    assert list(frames) == [1, 4]
    assert abs(float(frames[4].mean()) - 90) < 4 and abs(float(frames[1].mean()) - 30) < 4


def test_folders_of_pictures_have_the_given_rate(tmp_path):
    for name in ("a", "b"):
        for index in range(3):
            write_png(tmp_path / name / f"{index}.png", np.full((4, 6, 3), index, np.uint8))
    recordings = find_recordings(tmp_path, 10)
    assert recordings[1].times_sec[-1] == pytest.approx(0.2)
    assert [int(image[0, 0, 0]) for _, image in read_frames(recordings[1])] == [0, 1, 2]


def test_what_is_no_rig_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="0 recordings; expected two"):
        find_recordings(tmp_path, 30)
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    with pytest.raises(UserError, match="not a readable video"):
        find_recordings(tmp_path, 30)
    write_png(tmp_path / "pictures" / "0.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match="expected one kind"):
        find_recordings(tmp_path, 30)
    with pytest.raises(UserError, match="no such folder"):
        find_recordings(tmp_path / "absent", 30)


def test_a_picture_of_another_size_is_named(tmp_path):
    for name in ("a", "b"):
        write_png(tmp_path / name / "0.png", np.zeros((4, 6, 3), np.uint8))
        write_png(tmp_path / name / "1.png", np.zeros((4, 6 + 2 * (name == "b"), 3), np.uint8))
    with pytest.raises(UserError, match="frame 1 is 8x4 px; expected 6x4"):
        list(read_frames(find_recordings(tmp_path, 30)[1]))
