"""The rigid motion of a part: what follows it moves by the best fit to its Gaussians."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from scene.composition.transform import Similarity
from utils.transforms import matrix_to_quaternion, quaternion_multiply, quaternion_to_matrix

FLAT = 1e-3  # second spread of a part relative to its first, below which positions do not tell how it turns


def rigid_fit(source: Tensor, target: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations [T, 3, 3] and shifts [T, 3] that bring points [A, 3] nearest to [T, A, 3], weighted by [A].

    Least squares in closed form (Kabsch 1976); a reflection is never returned.
    """
    shares = (weights / weights.sum())[:, None]
    middle, middles = (shares * source).sum(0), (shares * target).sum(1)
    covariance = ((source - middle) * shares).T @ (target - middles[:, None])  # [T, 3, 3]
    u, _, vh = torch.linalg.svd(covariance)
    signs = torch.ones_like(middles)
    signs[:, 2] = torch.linalg.det(vh.mT @ u.mT).sign()
    rotations = (vh.mT * signs[:, None]) @ u.mT
    return rotations, middles - rotations @ middle


def part_motion(reference: tuple[Tensor, Tensor], means: Tensor, quats_wxyz: Tensor, weights: Tensor) -> Similarity:
    """How a part has moved since its reference pose.

    Fewer than three Gaussians, or Gaussians along a line, turn as their own orientations say.

    Args:
        reference: means [A, 3] and unit quaternions [A, 4] of the part, world.
        means: [T, A, 3] at T moments, world.
        quats_wxyz: [T, A, 4] of length 1.
        weights: [A] at least 0, not all 0.
    """
    source, target, weights = reference[0].double().cpu(), means.double().cpu(), weights.double().cpu()
    if _spans_a_plane(source, weights):
        rotations, shifts = rigid_fit(source, target, weights)
        return Similarity(1.0, matrix_to_quaternion(rotations), shifts)
    quats = mean_turn(reference[1].double().cpu(), quats_wxyz.double().cpu(), weights)
    shares = (weights / weights.sum())[:, None]
    middle, middles = (shares * source).sum(0), (shares * target).sum(1)
    return Similarity(1.0, quats, middles - quaternion_to_matrix(quats) @ middle)


def mean_turn(reference: Tensor, quats_wxyz: Tensor, weights: Tensor) -> Tensor:
    """The mean [T, 4] of the turns from unit quaternions [A, 4] to [T, A, 4], weighted by [A] (Markley et al. 2007)."""
    inverse = reference * reference.new_tensor([1.0, -1.0, -1.0, -1.0])
    turns = quaternion_multiply(quats_wxyz, inverse)
    moments = torch.einsum("a,tai,taj->tij", weights, turns, turns)
    mean = torch.linalg.eigh(moments).eigenvectors[..., -1]
    return F.normalize(torch.where(mean[:, :1] < 0, -mean, mean), dim=-1)


def _spans_a_plane(points: Tensor, weights: Tensor) -> bool:
    if len(points) < 3:
        return False
    shares = (weights / weights.sum())[:, None]
    spread = torch.linalg.svdvals((points - (shares * points).sum(0)) * shares.sqrt())
    return bool(spread[1] > FLAT * spread[0])
