"""Which frame of each camera shows each moment of the common time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capture.ingest import Recording
from utils.errors import UserError


@dataclass(frozen=True, eq=False)
class Timeline:
    """T moments of C cameras."""

    fps: float
    """Moments per second."""
    frames: np.ndarray  # [C, T] int64 number of the frame nearest to the moment
    errors_sec: np.ndarray  # [C] largest distance of such a frame from its moment

    @property
    def num_moments(self) -> int:
        return self.frames.shape[1]


def common_timeline(
    recordings: Sequence[Recording], offsets_sec: np.ndarray, frame_step: int = 1, num_frames: int = 0
) -> Timeline:
    """The time that all cameras saw, at the rate of the slowest one; other and uneven rates by the nearest frame."""
    if frame_step < 1 or num_frames < 0:
        seen = f"--frame_step is {frame_step}, --num_frames {num_frames}"
        raise UserError(f"{seen}; expected 1 or more, and 0 (all) or more; change them")
    rate = min(recording.fps for recording in recordings)
    clocks = [recording.times_sec + offset for recording, offset in zip(recordings, offsets_sec, strict=True)]
    start, end = max(clock[0] for clock in clocks), min(clock[-1] for clock in clocks)
    count = int(np.floor((end - start) * rate + 0.01)) + 1 if end >= start else 0
    moments = start + np.arange(0, count, frame_step)[: num_frames or None] / rate
    if len(moments) < 2:
        raise UserError(
            f"the cameras have {max(count, 0)} moments in common; expected two or more; check --sync and --offsets"
        )
    frames = np.stack([_nearest(clock, moments) for clock in clocks])
    errors = [np.abs(clock[row] - moments).max() for clock, row in zip(clocks, frames, strict=True)]
    return Timeline(rate / frame_step, frames, np.array(errors))


def _nearest(clock: np.ndarray, moments: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(clock, moments), 1, len(clock) - 1)
    return np.where(moments - clock[after - 1] <= clock[after] - moments, after - 1, after)
