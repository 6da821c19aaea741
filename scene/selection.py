"""From a click to a set of Gaussians: queries, similarities, the automatic threshold, smoothing. No rendering here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree
from torch import Tensor

from utils.errors import UserError

WINDOW_RADIUS_PX = 2  # 5x5 pixels around a click
SAME_SURFACE = 0.05  # relative difference of depth within which two pixels count as one surface
MIN_ALPHA = 0.1  # below it there is nothing to click on
NEIGHBOURS = 8
MIN_ISLAND_SHARE = 0.02  # of the selected weight; smaller groups are noise
MAX_HOLE_SHARE = 0.05  # of the selected weight; smaller unselected groups inside the selection belong to it
GROWTH = 0.2  # of the selection (or of the rest, if that is less), up to which it counts as the same selection
SHARE_LIMITS = (0.005, 0.85)  # of all that is seen, between which a selection is looked for
SHARE_STEPS = 400
SOFT_ANGLE_RAD = 1.0  # smaller angles are compared by their difference rather than by their ratio
EPS = 1e-8


@dataclass(frozen=True)
class Clicks:
    """What the user pointed at."""

    positive: Tensor  # [P, D] unit queries
    negative: Tensor  # [M, D] unit queries, M may be 0
    seeds: Tensor  # [S] indices of the Gaussians under the positive clicks


@dataclass(frozen=True)
class Selection:
    """Which Gaussians are chosen, and why; every [N] tensor is index-aligned with the model."""

    mask: Tensor  # [N] bool
    similarity: Tensor  # [N] cosine with the nearest positive query
    score: Tensor  # [N] what the threshold is compared with: similarity after smoothing, negatives and connection
    threshold: float
    clicks: Clicks


def select(
    features: Tensor,  # [N, D]
    clicks: Clicks,
    means: Tensor,  # [N, 3] world units
    weight: Tensor,  # [N] how much each Gaussian is seen
    threshold: float | None = None,
    connected: bool = True,
) -> Selection:
    """The Gaussians that are like the clicked ones.

    The similarity is the cosine with the nearest positive query, blended with that of the neighbours. Where a negative
    query is nearer, the score is -1. With `connected` only what hangs together with the clicked Gaussians counts.
    """
    neighbours = nearest_neighbours(means, NEIGHBOURS)
    similarity = nearest_cosine(features, clicks.positive)
    score = smooth(similarity, weight, neighbours)
    opposed = smooth(nearest_cosine(features, clicks.negative), weight, neighbours) >= score
    score = torch.where(opposed, torch.full_like(score, -1.0), score)
    if connected and len(clicks.seeds):
        score = reachable_similarity(score, neighbours, clicks.seeds)
    limit = automatic_threshold(score, weight) if threshold is None else threshold
    mask = drop_islands(score >= limit, weight, neighbours, MIN_ISLAND_SHARE)
    mask = fill_holes(mask, weight, neighbours, MAX_HOLE_SHARE)
    if len(clicks.negative):
        mask = mask & ~opposed
    return Selection(mask, similarity, score, limit, clicks)


def click_query(
    features: Tensor,  # [D, H, W] blended
    alpha: Tensor,  # [1, H, W]
    depth: Tensor,  # [1, H, W] of the surface, 0 = none
    point: tuple[int, int],  # (x, y) = (column, row) in pixels
) -> Tensor:
    """Unit query [D]: mean of the features in a window around the click, near the click in space as well.

    Pixels count by a Gaussian of their distance (sigma = half the window) and by alpha, and only when they lie on the
    clicked surface, so that a click next to an edge does not mix in what is behind it.

    Raises:
        UserError: the click is outside the image or on nothing.
    """
    x, y = point
    height, width = alpha.shape[1:]
    if not (0 <= x < width and 0 <= y < height):
        raise UserError(f"point {x} {y} is outside the image; expected 0..{width - 1} 0..{height - 1}; x is the column")
    if alpha[0, y, x] < MIN_ALPHA:
        raise UserError(f"point {x} {y} shows nothing (alpha {float(alpha[0, y, x]):.2f}); click on the object")
    rows = slice(max(0, y - WINDOW_RADIUS_PX), y + WINDOW_RADIUS_PX + 1)
    columns = slice(max(0, x - WINDOW_RADIUS_PX), x + WINDOW_RADIUS_PX + 1)
    weight = _distance_weight(rows, columns, point, alpha) * alpha[0, rows, columns]
    near = (depth[0, rows, columns] - depth[0, y, x]).abs() <= SAME_SURFACE * depth[0, y, x].abs()
    weight = weight * near
    window = features[:, rows, columns] / alpha[0, rows, columns].clamp_min(MIN_ALPHA)
    return F.normalize((window * weight).sum((1, 2)) / weight.sum(), dim=0, eps=EPS)


def _distance_weight(rows: slice, columns: slice, point: tuple[int, int], like: Tensor) -> Tensor:
    x, y = point
    dy = torch.arange(like.shape[1], device=like.device)[rows] - y
    dx = torch.arange(like.shape[2], device=like.device)[columns] - x
    return torch.exp(-2.0 * (dy[:, None] ** 2 + dx[None, :] ** 2) / WINDOW_RADIUS_PX**2)


def clicked_gaussians(median_ids: Tensor, depth: Tensor, point: tuple[int, int]) -> Tensor:
    """Indices [S] of the Gaussians that make the clicked surface: the medians [H, W] in the window, at its depth."""
    x, y = point
    rows = slice(max(0, y - WINDOW_RADIUS_PX), y + WINDOW_RADIUS_PX + 1)
    columns = slice(max(0, x - WINDOW_RADIUS_PX), x + WINDOW_RADIUS_PX + 1)
    near = (depth[0, rows, columns] - depth[0, y, x]).abs() <= SAME_SURFACE * depth[0, y, x].abs()
    ids = median_ids[rows, columns][near].long()
    return ids[ids >= 0].unique()


def nearest_cosine(features: Tensor, queries: Tensor) -> Tensor:
    """Largest cosine of each row [N, D] with any query [Q, D]; -1 without queries, 0 for rows of zeros."""
    if len(queries) == 0:
        return features.new_full((len(features),), -1.0)
    cosines = F.normalize(features, dim=1, eps=EPS) @ F.normalize(queries, dim=1, eps=EPS).T
    return cosines.amax(1)


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


def automatic_threshold(score: Tensor, weight: Tensor) -> float:
    """The score at which the selection is most stable: it may be loosened most before it grows by `GROWTH`.

    Looseness is the logarithm of the angle to the query, so the first clear gap around the clicked thing wins over a
    wider one between other things, whatever the thing's share of the pictures (which is where Otsu's rule fails: it
    splits the many, not the one that was clicked).

    Args:
        score: [N] cosines.
        weight: [N] how much each Gaussian is seen; unseen ones do not count.
    """
    order = score.argsort(descending=True)
    values = score[order].double().cpu()
    mass = weight[order].double().cpu().clamp_min(0).cumsum(0)
    if float(mass[-1]) <= 0:
        mass = torch.arange(1, len(values) + 1, dtype=torch.float64)
    mass = mass / mass[-1]
    share = torch.logspace(*np.log10(SHARE_LIMITS), SHARE_STEPS, dtype=torch.float64)
    grown = share + GROWTH * torch.minimum(share, 1 - share)
    first, last = (torch.searchsorted(mass, x).clamp_max(len(values) - 1) for x in (share, grown))
    looseness = torch.log(torch.arccos(values.clamp(-1, 1)) + SOFT_ANGLE_RAD)
    best = int((looseness[last] - looseness[first]).argmax())
    return float(values[first[best]] + values[last[best]]) / 2


def nearest_neighbours(means: Tensor, count: int) -> np.ndarray:
    """Indices [N, count] of each Gaussian's nearest others (fewer columns when there are fewer Gaussians)."""
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


def drop_islands(mask: Tensor, weight: Tensor, neighbours: np.ndarray, min_share: float) -> Tensor:
    """`mask` [N] without connected groups that hold less than `min_share` of the selected weight [N]."""
    if not mask.any() or neighbours.shape[1] == 0:
        return mask
    groups, mass = _group_masses(mask, weight, neighbours)
    large = mass[groups] >= min_share * mass.sum()
    return mask & torch.from_numpy(large).to(mask.device)


def fill_holes(mask: Tensor, weight: Tensor, neighbours: np.ndarray, max_share: float) -> Tensor:
    """`mask` [N] and the small unselected groups that touch nothing but the selection.

    Small is less than `max_share` of the selected weight [N]: the dots on a mushroom, not what stands behind it.
    """
    if not mask.any() or mask.all() or neighbours.shape[1] == 0:
        return mask
    groups, mass = _group_masses(~mask, weight, neighbours)
    inside = mask.cpu().numpy()
    touching = inside[neighbours].any(1) & ~inside
    touched = np.zeros(len(mass), dtype=bool)
    touched[groups[touching]] = True
    small = mass < max_share * float(weight[mask].sum())
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
