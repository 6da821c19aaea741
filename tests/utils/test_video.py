import sys

import numpy as np
import pytest

from utils.errors import UserError
from utils.video import VideoWriter


def frame(level: int, height: int = 31, width: int = 45) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


def test_video_has_all_frames_and_an_even_size(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    path = tmp_path / "sub" / "a.mp4"
    levels = [20, 120, 220]
    with VideoWriter(path, fps=10) as video:
        for level in levels:
            video.add(frame(level))
        assert not path.exists()
    frames = imageio.imread(path, plugin="pyav")
    assert frames.shape == (3, 32, 46, 3)
    assert [round(float(one.mean())) for one in frames] == pytest.approx(levels, abs=6)
    assert list(path.parent.iterdir()) == [path]


def test_no_file_is_left_after_an_error_or_without_frames(tmp_path):
    with pytest.raises(ValueError, match="one size"), VideoWriter(tmp_path / "a.mp4") as video:
        video.add(frame(1))
        video.add(frame(1, height=10))
    with pytest.raises(UserError, match="no frames"), VideoWriter(tmp_path / "b.mp4"):
        pass
    with pytest.raises(ValueError, match="uint8"), VideoWriter(tmp_path / "c.mp4") as video:
        video.add(np.zeros((4, 4, 3)))
    assert list(tmp_path.iterdir()) == []


def test_missing_package_is_one_line_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match="pip install imageio av"), VideoWriter(tmp_path / "a.mp4"):
        pass
