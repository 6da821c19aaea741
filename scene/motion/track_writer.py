"""The moments of a scene that is being followed, each written once, with what has changed in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from scene.motion.present import Pose
from scene.motion.track_store import TrackStore
from scene.motion.trajectories import Trajectories

VISIBLE_CHANGE = 2 / 255  # of a colour; smaller ones are stored once they have added up


class TrackWriter:
    """Knows which moments of this run are on disk, and with which colours."""

    def __init__(self, times: Sequence[float], precision: str, has_colors: bool) -> None:
        """See `TrackStore.create`; `has_colors` says whether colours change at all."""
        self.times, self.precision, self.has_colors = times, precision, has_colors
        self.num_saved = 0
        self.stored_colors: Tensor | None = None  # [N, 3] of each Gaussian as they were stored last

    def write(self, folder: Path, history: Sequence[Pose], moving: Tensor | None) -> None:
        """Append what is not yet there; `moving` are indices of what may move after the first moment."""
        store = TrackStore.open(folder) if folder.is_dir() else TrackStore.create(folder, self.times, self.precision)
        store.truncate(min(store.num_steps, self.num_saved))
        for pose in history[store.num_steps :]:
            changed = self._changed(pose, moving)
            store.append(pose.means, pose.quats_wxyz, pose.colors if self.has_colors else None, changed)
        self.num_saved = store.num_steps

    def _changed(self, pose: Pose, moving: Tensor | None) -> Tensor:
        """[N] bool: what may have moved, and what has another colour than when it was last stored, or is new."""
        known = 0 if self.stored_colors is None else len(self.stored_colors)
        changed = torch.ones(len(pose.means), dtype=torch.bool, device=pose.means.device)
        if known:
            changed[:known] = (pose.colors[:known] - self.stored_colors).abs().amax(1) > VISIBLE_CHANGE
            changed[moving] = True
            self.stored_colors[changed[:known]] = pose.colors[:known][changed[:known]]
        before = pose.colors[:0] if self.stored_colors is None else self.stored_colors
        self.stored_colors = torch.cat([before, pose.colors[known:]])
        return changed


def write_all(folder: Path, poses: Trajectories, precision: str) -> None:
    """A finished motion as a new folder."""
    times = poses.times.tolist()
    TrackStore.create(folder, times, precision)
    moves = (poses.means != poses.means[:1]).any(2).any(0) | (poses.quats_wxyz != poses.quats_wxyz[:1]).any(2).any(0)
    colors = torch.zeros_like(poses.means) if poses.colors is None else poses.colors
    history = [Pose(*values) for values in zip(poses.means, poses.quats_wxyz, colors, strict=True)]
    TrackWriter(times, precision, poses.colors is not None).write(folder, history, moves.nonzero()[:, 0])
