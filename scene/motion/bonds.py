"""Which Gaussians hold together: each one's nearest neighbours at the first moment, and what is left of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from ndraster import Neighbourhood, nearest_neighbours
from torch import Tensor

HALF = math.log(2)


@dataclass
class Bonds:
    """Pairs of F Gaussians, k for each, with their weights; a pair that is cut has the weight 0."""

    hood: Neighbourhood
    strained: Tensor  # [F, k] int16: moments since which a pair's distance has differed too much

    STORED: ClassVar = ("indices", "weights", "distances", "strained")

    @classmethod
    def between(cls, means: Tensor, k: int, falloff: float = 0.0) -> Bonds:
        """Bonds of points [F, 3] with their k nearest neighbours, of weight exp(-falloff d^2).

        A falloff of 0 is replaced by one at which the usual pair weighs a half, whatever the scene's units; the
        loss takes the root of the weight (Luiten et al. 2024, section 3.2, as published in code). A lone point has no
        neighbours.
        """
        k = max(0, min(k, len(means) - 1))
        if not k:
            none = means.new_zeros(len(means), 0)
            return cls(Neighbourhood.of(none.int(), none, none), none.to(torch.int16))
        indices, distances = nearest_neighbours(means, k)
        squares = distances.square()
        falloff = falloff or HALF / float(squares.mean(1).median().clamp_min(1e-20))
        hood = Neighbourhood.of(indices.int(), torch.exp(-falloff * squares), distances)
        return cls(hood, torch.zeros_like(indices, dtype=torch.int16))

    @classmethod
    def restored(cls, state: Mapping[str, Tensor]) -> Bonds:
        """What `state_dict` described."""
        indices, weights, distances, strained = (state[name] for name in cls.STORED)
        return cls(Neighbourhood.of(indices, weights, distances), strained)

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors [F, k], named as in `STORED`."""
        hood = self.hood
        return dict(zip(self.STORED, (hood.indices, hood.weights, hood.distances, self.strained), strict=True))

    def loose(self) -> Bonds:
        """The same pairs without weight."""
        return Bonds(self.hood.with_weights(torch.zeros_like(self.hood.weights)), self.strained)

    def with_block(self, start: int, block: Bonds) -> Bonds:
        """The same with rows from `start` on replaced, or continued, by Gaussians that are bonded among themselves."""
        if not len(self.strained):
            return block
        stop = start + len(block.strained)
        own, other = self.state_dict(), block.state_dict()
        other["indices"] = other["indices"] + start
        joined = (torch.cat([own[name][:start], other[name], own[name][stop:]]) for name in self.STORED)
        return Bonds.restored(dict(zip(self.STORED, joined, strict=True)))

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
