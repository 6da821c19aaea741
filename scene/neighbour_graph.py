"""Gaussians as a graph of near neighbours: smoothing over it, what hangs together, islands and holes of a mask."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree
from torch import Tensor

EPS = 1e-8


def nearest_neighbours(means: Tensor, count: int) -> np.ndarray:
    """Indices [N, count] of each Gaussian's nearest others (fewer columns when there are fewer Gaussians).

    `means` is [N, 3], or [N, 3 T] with the positions at T moments: nearest is then a matter of all of them.
    """
    points = means.detach().cpu().double().numpy()
    count = min(count, len(points) - 1)
    if count <= 0:
        return np.zeros((len(points), 0), dtype=np.int64)
    return cKDTree(points).query(points, k=count + 1, workers=-1)[1][:, 1:]


def smooth(values: Tensor, weight: Tensor, neighbours: np.ndarray, own_share: float = 0.5) -> Tensor:
    """Values [N] blended with the weighted mean of their neighbours' values; `weight` [N] is how much each is seen."""
    if neighbours.shape[1] == 0:
        return values
    index = torch.from_numpy(neighbours).to(values.device)
    near_weight = weight[index] + EPS
    mean = (values[index] * near_weight).sum(1) / near_weight.sum(1)
    return own_share * values + (1 - own_share) * mean


def reachable_similarity(similarity: Tensor, neighbours: np.ndarray, seeds: Tensor) -> Tensor:
    """The similarity [N] that a chain of neighbours from a seed to each Gaussian keeps up: its weakest link, at best.

    {reachable >= t} is the part of {similarity >= t} that hangs together with the seeds [S] (indices), for every t at
    once. The best chains run along a minimum spanning tree (bottleneck paths).
    """
    values = similarity.cpu().double().numpy()
    count, width = neighbours.shape
    start, end = np.repeat(np.arange(count), width), neighbours.reshape(-1)
    costs = 2.0 - np.minimum(values[start], values[end])  # positive: zero would mean "no link"
    seed_ids = np.unique(seeds.cpu().numpy())
    start = np.concatenate([start, np.full(len(seed_ids), count)])
    end, costs = np.concatenate([end, seed_ids]), np.concatenate([costs, 2.0 - values[seed_ids]])
    # Both directions of a pair may be listed; their costs are equal and must not be added up.
    low, high = np.minimum(start, end), np.maximum(start, end)
    _, first = np.unique(low * (count + 1) + high, return_index=True)
    graph = coo_matrix((costs[first], (low[first], high[first])), shape=(count + 1, count + 1))
    tree = minimum_spanning_tree(graph.tocsr())
    order, parents = breadth_first_order(tree, count, directed=False)
    return torch.from_numpy(_weakest_links(values, order, parents)).to(similarity)


def _weakest_links(values: np.ndarray, order: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Running minimum of `values` [N] from the root `order[0]` (an extra node) down a tree; -1 off the tree."""
    reached = [-1.0] * len(values) + [1.0]
    own = [*values.tolist(), 1.0]
    for node, parent in zip(order[1:].tolist(), parents[order[1:]].tolist(), strict=True):
        reached[node] = min(own[node], reached[parent])
    return np.array(reached[:-1])


def drop_islands(mask: Tensor, weight: Tensor, neighbours: np.ndarray, min_share: float) -> Tensor:
    """`mask` [N] without connected groups that hold less than `min_share` of the selected weight [N]."""
    if not mask.any() or neighbours.shape[1] == 0:
        return mask
    groups, mass = _group_masses(mask, weight, neighbours)
    large = mass[groups] >= min_share * mass.sum()
    return mask & torch.from_numpy(large).to(mask.device)


def fill_holes(mask: Tensor, weight: Tensor, neighbours: np.ndarray, max_share: float, max_of_all: float) -> Tensor:
    """`mask` [N] and the small unselected groups that touch nothing but the selection.

    Small is less than `max_share` of the selected weight [N], and than `max_of_all` of all weight: the dots on a
    mushroom, but neither what stands behind it nor, when the ground is selected, the things on it.
    """
    if not mask.any() or mask.all() or neighbours.shape[1] == 0:
        return mask
    groups, mass = _group_masses(~mask, weight, neighbours)
    inside = mask.cpu().numpy()
    touching = inside[neighbours].any(1) & ~inside
    touched = np.zeros(len(mass), dtype=bool)
    touched[groups[touching]] = True
    small = mass < min(max_share * float(weight[mask].sum()), max_of_all * float(weight.sum()))
    filled = torch.from_numpy((small & touched)[groups] & ~inside).to(mask.device)
    return mask | filled


def _group_masses(mask: Tensor, weight: Tensor, neighbours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group [N] of each Gaussian among those in `mask`, and the weight of each group's members in `mask`."""
    groups = connected_groups(mask, neighbours)
    return groups, np.bincount(groups, weights=(weight * mask).cpu().double().numpy())


def connected_groups(mask: Tensor, neighbours: np.ndarray) -> np.ndarray:
    """Label [N] of each Gaussian's group; groups are linked by neighbour pairs that are both in `mask`."""
    inside = mask.cpu().numpy()
    start = np.repeat(np.arange(len(inside)), neighbours.shape[1])
    end = neighbours.reshape(-1)
    both = inside[start] & inside[end]
    links = coo_matrix((np.ones(both.sum(), np.int8), (start[both], end[both])), shape=(len(inside), len(inside)))
    return connected_components(links, directed=False)[1]
