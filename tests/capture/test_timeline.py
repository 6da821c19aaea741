from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from capture.ingest import Recording
from capture.timeline import common_timeline
from utils.errors import UserError


def recording(times):
    return Recording("a", Path("a"), np.asarray(times, np.float64), (8, 8))


def test_offsets_cut_the_common_interval():
    line = common_timeline([recording(np.arange(10) / 10), recording(np.arange(10) / 10)], np.array([0, 0.3]))
    np.testing.assert_array_equal(line.frames, [np.arange(3, 10), np.arange(7)])
    assert line.errors_sec.max() < 1e-9


def test_a_faster_camera_gives_its_nearest_frames():
    line = common_timeline([recording(np.arange(10) / 10), recording(np.arange(28) / 30)], np.zeros(2))
    np.testing.assert_array_equal(line.frames[1], 3 * np.arange(10))
    assert line.fps == pytest.approx(10)


def test_steps_and_counts():
    line = common_timeline([recording(np.arange(10) / 10)] * 2, np.zeros(2), frame_step=3, num_frames=2)
    np.testing.assert_array_equal(line.frames[0], [0, 3])
    assert line.fps == pytest.approx(10 / 3)


def test_recordings_that_never_overlap_are_refused():
    with pytest.raises(UserError, match="0 moments in common"):
        common_timeline([recording(np.arange(10) / 10)] * 2, np.array([0, 5.0]))
    with pytest.raises(UserError, match="--frame_step"):
        common_timeline([recording(np.arange(10) / 10)] * 2, np.zeros(2), frame_step=0)
