"""The joint graph of superpixels, its leading eigenvectors (Laplacian eigenmap), and its extension to new pictures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree

from encoders.classical_net.descriptors import BLOCK_SIZES, Regions
from utils.errors import UserError

BLOCK_WEIGHTS = (1.0, 1.0, 0.6)
PCA_WIDTH = 32
NEIGHBOUR_SCALE = 0.6  # s2 = this times the median squared distance over neighbour edges
NUM_NEAREST = 4
NEAREST_WEIGHT = 0.3
EIGENVALUE_POWER = 4
EIGEN_TOLERANCE = 1e-4
SMOOTH_ROUNDS, SMOOTH_KEEP = 10, 0.3
MIN_NODES = 8


@dataclass(frozen=True)
class Projection:
    """Affine map from raw descriptors [R, F] to graph space [R, 32]."""

    mean: np.ndarray  # [F]
    matrix: np.ndarray  # [F, 32]

    def __call__(self, descriptors: np.ndarray) -> np.ndarray:
        return (descriptors - self.mean) @ self.matrix


@dataclass(frozen=True)
class SceneGraph:
    """Nodes of the training pictures with their embeddings; enough to embed any further picture."""

    projection: Projection
    nodes: np.ndarray  # [M, 32] in graph space
    embeddings: np.ndarray  # [M, C] unit rows
    scale2: float  # s2 of the neighbour edges


def fit_projection(moments: np.ndarray) -> Projection:
    """Standardise every descriptor, weight the blocks by weight / sqrt(size), PCA with scores over variance^(1/4).

    Args:
        moments: sum of `Regions.moments` over the pictures.
    """
    width = sum(BLOCK_SIZES)
    count, total = moments[0], moments[1 : 1 + width]
    if count < 2:
        raise UserError("the pictures are fully transparent; expected something to see; check the images")
    mean = total / count
    covariance = moments[1 + width :].reshape(width, width) / count - np.outer(mean, mean)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    weights = np.repeat(np.array(BLOCK_WEIGHTS) / np.sqrt(BLOCK_SIZES), BLOCK_SIZES) / deviation
    variance, basis = np.linalg.eigh(covariance * np.outer(weights, weights))
    variance, basis = np.maximum(variance[::-1][:PCA_WIDTH], 1e-9), basis[:, ::-1][:, :PCA_WIDTH]
    return Projection(mean, weights[:, None] * _fixed_signs(basis) / variance**0.25)


def _fixed_signs(columns: np.ndarray) -> np.ndarray:
    peak = np.abs(columns).argmax(axis=0)
    return columns * np.where(columns[peak, np.arange(columns.shape[1])] < 0, -1.0, 1.0)


def build_graph(regions: Sequence[Regions], dim: int) -> SceneGraph:
    """Embed all superpixels of the training pictures jointly in `dim` dimensions (teachers.md 7: joint eigenmap)."""
    projection = fit_projection(sum(item.moments for item in regions))
    nodes = np.concatenate([projection(item.descriptors) for item in regions])
    if len(nodes) < MIN_NODES:
        raise UserError(
            f"the pictures have {len(nodes)} superpixels in all; expected {MIN_NODES} or more; use larger images"
        )
    starts = np.cumsum([0] + [len(item.descriptors) for item in regions])
    edges = np.concatenate([item.edges + start for item, start in zip(regions, starts, strict=False)])
    adjacency, scale2 = _adjacency(nodes, edges)
    return SceneGraph(projection, nodes, _spectral(adjacency, dim), scale2)


def _adjacency(nodes: np.ndarray, edges: np.ndarray) -> tuple[csr_matrix, float]:
    count = len(nodes)
    distance2 = ((nodes[edges[:, 0]] - nodes[edges[:, 1]]) ** 2).sum(1)
    scale2 = NEIGHBOUR_SCALE * float(np.median(distance2)) if len(edges) else 1.0
    scale2 = max(scale2, 1e-12)
    near = csr_matrix((np.exp(-distance2 / scale2), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return near + near.T + _nearest_edges(nodes), scale2


def _nearest_edges(nodes: np.ndarray) -> csr_matrix:
    """Links to the 4 nearest nodes anywhere, with local scaling, symmetrised by averaging."""
    count, wanted = len(nodes), min(NUM_NEAREST + 1, len(nodes))
    distance, index = cKDTree(nodes).query(nodes, k=wanted, workers=-1)
    distance, index = distance[:, 1:], index[:, 1:]
    sigma = np.maximum(distance[:, -1], 1e-9)
    weight = NEAREST_WEIGHT * np.exp(-(distance**2) / (sigma[:, None] * sigma[index]))
    rows = np.repeat(np.arange(count), wanted - 1)
    links = csr_matrix((weight.reshape(-1), (rows, index.reshape(-1))), shape=(count, count))
    return (links + links.T) / 2


def _spectral(adjacency: csr_matrix, dim: int) -> np.ndarray:
    """Leading non-trivial eigenvectors of D^-1/2 A D^-1/2, scaled and normalised: unit rows [M, dim]."""
    count = adjacency.shape[0]
    kept = min(dim, count - 2)
    inverse_root = 1 / np.sqrt(np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1e-12))
    normalised = diags(inverse_root) @ adjacency @ diags(inverse_root)
    start = np.random.default_rng(0).normal(size=count)
    with _one_blas_thread():
        values, vectors = eigsh(normalised, k=kept + 1, which="LA", tol=EIGEN_TOLERANCE, v0=start)
    order = np.argsort(-values)[1:]
    values, vectors = np.clip(values[order], 0, 1), _fixed_signs(vectors[:, order])
    vectors = vectors * inverse_root[:, None]
    vectors = vectors / np.maximum(vectors.std(axis=0), 1e-12) * values**EIGENVALUE_POWER
    result = np.zeros((count, dim))
    result[:, :kept] = vectors
    return unit_rows(result)


def _one_blas_thread() -> AbstractContextManager:
    """The solver's vectors are short: more BLAS threads wait for one another (2 s became 60 s on two busy cores)."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # optional: only the time differs
        return nullcontext()
    return threadpool_limits(1, user_api="blas")


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows [M, C] scaled to length 1 (zero rows stay)."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def extend(graph: SceneGraph, tree: cKDTree, regions: Regions) -> np.ndarray:
    """Embeddings [R, C] of the superpixels of a picture outside the graph.

    Mean of the 4 nearest nodes' embeddings (weight exp(-d2 / d4^2)), then smoothing over neighbouring superpixels.
    """
    points = graph.projection(regions.descriptors)
    distance, index = tree.query(points, k=min(NUM_NEAREST, len(graph.nodes)))
    weight = np.exp(-(distance**2) / np.maximum(distance[:, -1:], 1e-9) ** 2)
    first = np.einsum("rk,rkc->rc", weight, graph.embeddings[index]) / weight.sum(1, keepdims=True)
    distance2 = ((points[regions.edges[:, 0]] - points[regions.edges[:, 1]]) ** 2).sum(1)
    near = csr_matrix((np.exp(-distance2 / graph.scale2), tuple(regions.edges.T)), shape=(len(points),) * 2)
    near = near + near.T
    total = np.asarray(near.sum(1))
    smooth = first
    for _ in range(SMOOTH_ROUNDS):
        mean = np.where(total > 1e-12, near @ smooth / np.maximum(total, 1e-12), first)
        smooth = SMOOTH_KEEP * first + (1 - SMOOTH_KEEP) * mean
    return unit_rows(smooth)
