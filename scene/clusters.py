"""All things of a scene at once: neighbouring Gaussians of similar features grow together into regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from scene.selection import Cloud

SIMILAR = 0.8  # cosine of mean features above which touching regions are one
LEVELS_FROM, LEVEL_STEP = 0.98, 0.02  # the most similar merge first
MIN_SHARE = 0.003  # of everything seen; smaller regions join the most similar one that they touch
MAX_CLUSTERS = 254  # an id map has one byte a pixel; 0 is nothing and 255 means "ignore" in label maps
EPS = 1e-6


def cluster(features: Tensor, cloud: Cloud, similar: float = SIMILAR) -> Tensor:
    """Region [N] of each Gaussian: 1 is the most seen one, 0 = of no region.

    Every Gaussian starts as a region. Round by round each region joins the neighbour whose mean feature is most like
    its own, as long as the cosine reaches a level that falls from 0.98 to `similar`. Means get surer as regions grow,
    so noise of single Gaussians averages out before the loosest level. Last, small regions join the most similar one.

    Args:
        features: [N, D].
        cloud: neighbours and weights of the Gaussians.
        similar: cosine above which touching regions are one, -1 to 1.
    """
    regions = _Regions.of(_blended(features, cloud), cloud)
    for level in np.arange(max(LEVELS_FROM, similar), similar - 1e-9, -LEVEL_STEP):
        while regions.join(level):
            pass
    while regions.join(-1.0, only_small=True):
        pass
    return regions.numbered()


def _blended(features: Tensor, cloud: Cloud) -> Tensor:
    """Unit rows [N, D], each half its own and half the weighted mean of its neighbours'."""
    unit = F.normalize(features, dim=1)
    if cloud.neighbours.shape[1] == 0:
        return unit
    index = torch.from_numpy(cloud.neighbours).to(unit.device)
    weight = cloud.weight + EPS
    sums = torch.zeros_like(unit)
    for column in range(index.shape[1]):  # one neighbour at a time: [N, 8, D] would not fit for wide features
        sums += unit[index[:, column]] * weight[index[:, column], None]
    return F.normalize(unit + sums / weight[index].sum(1, keepdim=True), dim=1)


@dataclass
class _Regions:
    """A partition of the Gaussians, and which of its R regions touch."""

    ids: np.ndarray  # [N] region of each Gaussian
    sums: Tensor  # [R, D] weighted sums of features
    masses: np.ndarray  # [R] weights
    links: np.ndarray  # [2, E] pairs of touching regions, each once

    @classmethod
    def of(cls, rows: Tensor, cloud: Cloud) -> _Regions:
        count, width = cloud.neighbours.shape
        links = np.stack([np.repeat(np.arange(count), width), cloud.neighbours.reshape(-1)])
        masses = cloud.weight.cpu().double().numpy()
        return cls(np.arange(count), rows * (cloud.weight + EPS)[:, None], masses, _distinct(links, count))

    def is_small(self) -> np.ndarray:
        """Regions [R] bool that are too little seen to stay on their own."""
        return self.masses < MIN_SHARE * self.masses.sum()

    def join(self, level: float, only_small: bool = False) -> bool:
        """Join each (small) region with the touching one that is most like it; False when there is none left."""
        unit = F.normalize(self.sums, dim=1)
        ends = [torch.from_numpy(end).to(unit.device) for end in self.links]
        cosines = (unit[ends[0]] * unit[ends[1]]).sum(1).cpu().numpy()
        own, other = np.concatenate([self.links, self.links[::-1]], axis=1)
        likeness = np.tile(cosines, 2)
        usable = (likeness >= level) & (self.is_small()[own] | (not only_small))
        if not usable.any():
            return False
        own, other, likeness = own[usable], other[usable], likeness[usable]
        order = np.lexsort((other, -likeness, own))
        own, other = own[order], other[order]
        first = np.r_[True, own[1:] != own[:-1]]
        self._merge(own[first], other[first])
        return True

    def _merge(self, own: np.ndarray, other: np.ndarray) -> None:
        count = len(self.masses)
        pairs = coo_matrix((np.ones(len(own), np.int8), (own, other)), shape=(count, count))
        merged, new = connected_components(pairs, directed=False)
        index = torch.from_numpy(new).long().to(self.sums.device)
        self.sums = self.sums.new_zeros(merged, self.sums.shape[1]).index_add_(0, index, self.sums)
        self.masses = np.bincount(new, weights=self.masses, minlength=merged)
        self.ids, self.links = new[self.ids], _distinct(new[self.links], merged)

    def numbered(self) -> Tensor:
        """Ids [N], 1 = the heaviest region; 0 for those that stayed small without touching anything."""
        order = np.argsort(-self.masses, kind="stable")[:MAX_CLUSTERS]
        order = order[~self.is_small()[order]]
        numbers = np.zeros(len(self.masses), dtype=np.int64)
        numbers[order] = np.arange(1, len(order) + 1)
        return torch.from_numpy(numbers[self.ids]).to(self.sums.device)


def _distinct(links: np.ndarray, count: int) -> np.ndarray:
    """Pairs [2, E] of different regions out of `count`, each once."""
    low, high = links.min(0).astype(np.int64), links.max(0).astype(np.int64)
    codes = np.unique((low * count + high)[low != high])
    return np.stack([codes // max(count, 1), codes % max(count, 1)])
