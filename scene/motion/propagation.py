"""First guesses of the next poses, from the last two (Dynamic 3D Gaussians, Luiten et al. 2024, section 3.3)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from utils.transforms import quaternion_multiply, slerp

Poses = tuple[Tensor, Tensor]
"""Means [N, 3] and unit quaternions wxyz [N, 4]."""


def propagate(before: Poses, now: Poses, mode: str, damping: float = 1.0) -> Poses:
    """Poses one moment later if everything goes on as from `before` to `now`.

    Args:
        mode: `velocity` extrapolates quaternions along a line, `velocity_so3` repeats the turn itself, `damped` keeps
            the share `damping` of both, `none` stays.
    """
    (means0, quats0), (means1, quats1) = before, now
    if mode == "none":
        return means1, quats1
    if mode == "velocity":
        return 2 * means1 - means0, F.normalize(2 * quats1 - quats0, dim=-1)
    keep = damping if mode == "damped" else 1.0
    turn = quaternion_multiply(quats1, conjugate(quats0))
    return means1 + keep * (means1 - means0), F.normalize(quaternion_multiply(shortened(turn, keep), quats1), dim=-1)


def conjugate(quats_wxyz: Tensor) -> Tensor:
    """The inverse turns of unit quaternions [..., 4]."""
    return quats_wxyz * quats_wxyz.new_tensor([1.0, -1.0, -1.0, -1.0])


def shortened(turns_wxyz: Tensor, share: float) -> Tensor:
    """Unit quaternions [..., 4] that turn by a share of the (shorter) angle."""
    if share == 1.0:
        return turns_wxyz
    rest = turns_wxyz.new_tensor([1.0, 0.0, 0.0, 0.0]).expand_as(turns_wxyz)
    return slerp(rest, turns_wxyz, share)
