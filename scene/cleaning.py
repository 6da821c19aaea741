"""Which Gaussians of a finished scene are no part of it: strays, those that hardly show, and haze before surfaces."""

from __future__ import annotations

from dataclasses import dataclass

import ndraster
import torch
from torch import Tensor

NUM_NEIGHBOURS = 8
STRAY = 6.0  # times as far from its neighbours as they are from theirs
LEAST_WEIGHT_PX = 0.05  # summed over all views
HAZE_SHARE = 0.5  # of the weight in front of what the pixels show
HAZE_OPACITY = 0.5  # more opaque ones may be thin things


@dataclass(frozen=True)
class Evidence:
    """What the views say about each Gaussian."""

    weight_px: Tensor  # [N] blending weight, summed over pixels and views
    front_share: Tensor  # [N] share of it that lies clearly in front of the surface that the pixels show


def strays(means: Tensor) -> Tensor:
    """Mask [N] of points [N, 3] that are far from all others, compared with how far those are from each other.

    A point is judged by its neighbourhood (as in the local outlier factor, Breunig et al. 2000), so that sparse
    backgrounds stay.
    """
    count = min(NUM_NEIGHBOURS, len(means) - 1)
    if count < 1:
        return torch.zeros(len(means), dtype=torch.bool, device=means.device)
    neighbours, squared = ndraster.nearest_neighbours(means.detach(), count)
    distance = squared.sqrt().mean(1).to(means.device)
    return distance > STRAY * distance[neighbours.to(means.device)].median(1).values


def expendable(means: Tensor, opacities: Tensor, evidence: Evidence) -> Tensor:
    """Mask [N] of what a finished scene is better without.

    Args:
        means: [N, 3] world.
        opacities: [N] in 0..1.
        evidence: of the training views.
    """
    unseen = evidence.weight_px < LEAST_WEIGHT_PX
    haze = (evidence.front_share > HAZE_SHARE) & (opacities < HAZE_OPACITY)
    return unseen | haze | strays(means)
