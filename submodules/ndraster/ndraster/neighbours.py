"""Exact nearest neighbours: scipy's k-d tree on the CPU, a kernel over boxes of points on CUDA."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from ndraster.backends import runs_fused
from ndraster.types import ShapeError

_NEIGHBOURS = 3
_MAX_IN_KERNEL = 32  # neighbours, one a lane; also points of a leaf and leaves of a group
_REACH = 1e18  # coordinates whose squares are still float32
_BITS = 21  # of a Morton code, per axis
_SPREAD = (
    (32, 0x001F00000000FFFF),
    (16, 0x001F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)


def nearest_neighbours(points: Tensor, k: int, queries: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Indices [Q, k] int64 and distances [Q, k] of the k points [N, 3] nearest to each query [Q, 3], nearest first.

    Without queries: of each point to the others, never itself. Exact, in any distribution of points; which of several
    equally far ones is listed is not defined. float32 on CUDA with k <= 32 has a kernel; else scipy's k-d tree on the
    CPU. Results are on points.device, distances in the type of the points.
    """
    points = points.detach()
    queries = None if queries is None else queries.detach().to(points)
    _check(points, k, queries)
    if _has_kernel(points, k):
        indices, squared = _search_boxes(points, k, queries)
        return indices, squared.sqrt()
    indices, distances = _search_tree(points, k, queries)
    return torch.from_numpy(indices).to(points.device), torch.from_numpy(distances).to(points)


def mean_neighbour_distance2(points: Tensor) -> Tensor:
    """Mean squared distance [P] of each point [P, 3] to its three nearest others (0 for a lone point)."""
    count = points.shape[0]
    neighbours = min(_NEIGHBOURS, count - 1)
    if neighbours < 1:
        return torch.zeros(count, dtype=torch.float32, device=points.device)
    points = points.detach()
    _check(points, neighbours, None)
    if _has_kernel(points, neighbours):
        return _search_boxes(points, neighbours, None)[1].mean(dim=1)
    squared = np.square(_search_tree(points, neighbours, None)[1]).mean(axis=1)
    return torch.from_numpy(squared).to(points.device, torch.float32)


def _check(points: Tensor, k: int, queries: Tensor | None) -> None:
    for name, rows in (("points", points), ("queries", queries)):
        if rows is None:
            continue
        if rows.dim() != 2 or rows.shape[1] != 3:
            raise ShapeError(f"{name} are {list(rows.shape)}; expected [N, 3]")
        if not (rows.abs() < _REACH).all():
            raise ShapeError(f"{name} have coordinates that are no numbers or beyond {_REACH:g}; expected smaller ones")
    others = len(points) if queries is not None else len(points) - 1
    if not 1 <= k <= others:
        raise ShapeError(
            f"{k} neighbours are asked for and {max(others, 0)} are there; expected 1 to as many as there are"
        )


def _has_kernel(points: Tensor, k: int) -> bool:
    return points.is_cuda and points.dtype == torch.float32 and k <= _MAX_IN_KERNEL and runs_fused("cuda")


def _search_tree(points: Tensor, k: int, queries: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """Indices and distances [Q, k], float64, by scipy's k-d tree."""
    array = points.cpu().double().numpy()
    if queries is not None:
        distances, indices = cKDTree(array).query(queries.cpu().double().numpy(), k=[*range(1, k + 1)], workers=-1)
        return indices, distances
    distances, indices = cKDTree(array).query(array, k=k + 1, workers=-1)
    is_self = indices == np.arange(len(array))[:, None]
    is_self[~is_self.any(axis=1), k] = True  # more than k others at the very same place: drop any of them
    return indices[~is_self].reshape(-1, k), distances[~is_self].reshape(-1, k)


@dataclass(frozen=True)
class _Boxes:
    """Points along a Morton curve, the boxes of 32 in a row (leaves), and those of 32 leaves (groups)."""

    order: Tensor  # [N] where each point was
    codes: Tensor  # [N] int64, rising
    points: Tensor  # [N, 3]
    leaves: Tensor  # [L, 2, 3] low and high corner
    groups: Tensor  # [G, 2, 3]


def _make_boxes(points: Tensor) -> _Boxes:
    codes, order = _morton_codes(points, points).sort(stable=True)
    ordered = points[order]
    leaves = _enclose(ordered, ordered)
    return _Boxes(order, codes, ordered, leaves, _enclose(*leaves.unbind(1)))


def _enclose(low: Tensor, high: Tensor) -> Tensor:
    """Boxes [ceil(M / 32), 2, 3] around 32 boxes each, of which low and high corners are [M, 3]."""
    count = -(-len(low) // _MAX_IN_KERNEL) * _MAX_IN_KERNEL
    rows = torch.arange(count, device=low.device).clamp_max(len(low) - 1).view(-1, _MAX_IN_KERNEL)
    return torch.stack([low[rows].amin(dim=1), high[rows].amax(dim=1)], dim=1)


def _morton_codes(values: Tensor, points: Tensor) -> Tensor:
    """[Q] int64: where values [Q, 3] are on the Morton curve through the cube around `points` (x: lowest bit)."""
    low, high = points.aminmax(dim=0)
    size = (high - low).amax().clamp_min(torch.finfo(points.dtype).tiny)
    last = 2**_BITS - 1
    cells = ((values - low) / size).clamp(0, 1).mul(last).long().clamp_max(last)
    for shift, mask in _SPREAD:
        cells = (cells | cells << shift) & mask
    return cells[:, 0] | cells[:, 1] << 1 | cells[:, 2] << 2


def _search_boxes(points: Tensor, k: int, queries: Tensor | None) -> tuple[Tensor, Tensor]:
    """Indices and squared distances [Q, k] by the CUDA kernel, a warp a query."""
    boxes = _make_boxes(points)
    padded = [F.pad(t, (0, 1)) for t in (boxes.points, boxes.leaves, boxes.groups)]  # rows of 16 bytes
    if queries is None:
        places = torch.arange(len(points), device=points.device)
    else:
        codes = _morton_codes(queries, points)
        places = torch.searchsorted(boxes.codes, codes).clamp_max(len(points) - 1)
    asked = boxes.points if queries is None else queries.contiguous()
    starts = (places // _MAX_IN_KERNEL).int()
    found, squared = torch.ops.ndraster_cuda.nearest(*padded, asked, starts, k, queries is None)
    indices = boxes.order[found.long()]
    if queries is not None:
        return indices, squared
    back = torch.empty_like(boxes.order)
    back[boxes.order] = places
    return indices[back], squared[back]
