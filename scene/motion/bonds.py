"""Which Gaussians hold together: each one's nearest neighbours at the first moment, and what is left of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from ndraster import Neighbourhood, nearest_neighbours
from torch import Tensor

HALF = math.log(2)


@dataclass
class Bonds:
    """Pairs of F Gaussians, k for each, with their weights; a pair that is cut has the weight 0."""

    hood: Neighbourhood
    strained: Tensor  # [F, k] int16: moments since which a pair's distance has differed too much

    @classmethod
    def between(cls, means: Tensor, k: int, falloff: float = 0.0) -> Bonds:
        """Bonds of points [F, 3] with their k nearest neighbours, of weight exp(-falloff d^2).

        A falloff of 0 is replaced by one at which the usual pair weighs a half, whatever the scene's units; the
        loss takes the root of the weight (Luiten et al. 2024, section 3.2, as published in code).
        """
        indices, distances = nearest_neighbours(means, min(k, len(means) - 1))
        squares = distances.square()
        falloff = falloff or HALF / float(squares.mean(1).median().clamp_min(1e-20))
        hood = Neighbourhood.of(indices.int(), torch.exp(-falloff * squares), distances)
        return cls(hood, torch.zeros_like(indices, dtype=torch.int16))

    def offsets(self, means: Tensor) -> Tensor:
        """From every Gaussian to its neighbours, [F, k, 3], world units."""
        return means[self.hood.indices.long()] - means[:, None]

    def cut(self, means: Tensor, strain: float, after: int) -> int:
        """Cut pairs whose distance has differed from the first one by more than the share `strain` in more than
        `after` moments, this one included; returns how many pairs are cut now."""
        change = (self.offsets(means).norm(dim=-1) / self.hood.distances.clamp_min(1e-12) - 1).abs()
        self.strained = torch.where(change > strain, self.strained + 1, torch.zeros_like(self.strained))
        gone = (self.strained > after) & (self.hood.weights > 0)
        self.hood.weights.masked_fill_(gone, 0.0)  # in place: a captured iteration reads them there
        return int(gone.sum())
