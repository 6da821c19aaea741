"""Where a layer is put: similarity transforms, still or interpolated between key frames."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.transforms import quaternion_multiply, quaternion_to_matrix, slerp

Vector = tuple[float, float, float]
NO_TURN = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Pose:
    """Turned and scaled about the layer's pivot, then shifted."""

    translate: Vector = (0.0, 0.0, 0.0)  # world units
    quat_wxyz: tuple[float, float, float, float] = NO_TURN
    scale: float = 1.0


@dataclass(frozen=True)
class Keyframe:
    """A pose at a moment of the composition."""

    time: float
    pose: Pose


@dataclass(frozen=True)
class Similarity:
    """x -> scale R x + shift at T moments; float64 on the CPU."""

    scale: float
    quats_wxyz: Tensor  # [T, 4] of length 1
    shifts: Tensor  # [T, 3] world units

    @classmethod
    def identity(cls, count: int) -> Similarity:
        """Nothing moves at `count` moments."""
        quats = torch.tensor([NO_TURN], dtype=torch.float64).repeat(count, 1)
        return cls(1.0, quats, torch.zeros(count, 3, dtype=torch.float64))

    def points(self, points: Tensor) -> Tensor:
        """Points [T, N, 3] (or [1, N, 3] at all moments) moved, [T, N, 3]."""
        linear = (self.scale * quaternion_to_matrix(self.quats_wxyz)).to(points)
        return points @ linear.transpose(1, 2) + self.shifts.to(points)[:, None]

    def orientations(self, quats_wxyz: Tensor) -> Tensor:
        """Unit quaternions [T, N, 4] (or [1, N, 4]) turned, [T, N, 4]."""
        return quaternion_multiply(self.quats_wxyz.to(quats_wxyz)[:, None], quats_wxyz)

    def after(self, first: Similarity) -> Similarity:
        """`first`, then this one."""
        quats = F.normalize(quaternion_multiply(self.quats_wxyz, first.quats_wxyz), dim=-1)
        return Similarity(self.scale * first.scale, quats, self.points(first.shifts[:, None])[:, 0])

    @property
    def turns(self) -> bool:
        """Whether the rotation changes over time."""
        cosines = (self.quats_wxyz @ self.quats_wxyz[0]).abs()
        return bool((1 - cosines).max() > 1e-12)

    @property
    def changes(self) -> bool:
        """Whether anything changes over time."""
        return self.turns or bool((self.shifts - self.shifts[0]).abs().max() > 0)


def placed(keyframes: Sequence[Keyframe], copy: Pose, pivot: Tensor, times: Sequence[float]) -> Similarity:
    """The similarity of one copy of a layer: its poses over time, and on top the copy's turn, scale and shift.

    Args:
        keyframes: at least one, in the order of their times, all of one scale.
        copy: turns and scales about the shifted pivot as well.
        pivot: [3] float64, the layer's own units.
        times: T moments of the composition.
    """
    poses = [pose_at(keyframes, time) for time in times]
    quats = torch.tensor([pose.quat_wxyz for pose in poses], dtype=torch.float64)
    quats = F.normalize(quaternion_multiply(torch.tensor(copy.quat_wxyz, dtype=torch.float64), quats), dim=-1)
    shifts = torch.tensor([pose.translate for pose in poses], dtype=torch.float64)
    scale = copy.scale * poses[0].scale
    turned = scale * (quaternion_to_matrix(quats) @ pivot)
    return Similarity(scale, quats, pivot + shifts + torch.tensor(copy.translate, dtype=torch.float64) - turned)


def pose_at(keyframes: Sequence[Keyframe], time: float) -> Pose:
    """The pose at a moment: shifts go straight and turns the short way round; it stays before the first and after the
    last key frame."""
    after = bisect_right([key.time for key in keyframes], time)
    if after == 0 or after == len(keyframes):
        return keyframes[max(after - 1, 0)].pose
    first, second = keyframes[after - 1], keyframes[after]
    share = (time - first.time) / (second.time - first.time)
    starts, ends = (torch.tensor(key.pose.translate, dtype=torch.float64) for key in (first, second))
    turns = (torch.tensor(key.pose.quat_wxyz, dtype=torch.float64) for key in (first, second))
    shift, quat = torch.lerp(starts, ends, share), slerp(*turns, share)
    return Pose(tuple(shift.tolist()), tuple(quat.tolist()), first.pose.scale)
