import numpy as np
import pytest
from scipy.spatial import cKDTree

from encoders.classical_net.descriptors import BLOCK_SIZES, Regions
from encoders.classical_net.graph import build_graph, extend, fit_projection

WIDTH = sum(BLOCK_SIZES)


def make_regions(seed, side=8):
    """A grid of superpixels, left half of one material and right half of another, with the moments of its nodes."""
    rng = np.random.default_rng(seed)
    materials = np.random.default_rng(0).normal(size=(2, WIDTH)) * 3
    columns = np.arange(side * side) % side
    descriptors = materials[(columns >= side // 2).astype(int)] + rng.normal(size=(side * side, WIDTH))
    index = np.arange(side * side).reshape(side, side)
    edges = np.concatenate([np.stack([index[:, :-1], index[:, 1:]], -1).reshape(-1, 2),
                            np.stack([index[:-1], index[1:]], -1).reshape(-1, 2)])  # fmt: skip
    moments = np.concatenate([[len(descriptors)], descriptors.sum(0), (descriptors.T @ descriptors).reshape(-1)])
    return Regions(index.astype(np.int32), descriptors.astype(np.float32), edges.astype(np.int32), moments)


def test_projection_has_the_square_root_of_the_standard_deviations():
    regions = make_regions(1)
    scores = fit_projection(regions.moments)(regions.descriptors)
    covariance = np.cov(scores.T, bias=True)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-4  # uncorrelated ...
    spread = np.sqrt(np.diag(covariance))
    assert (np.diff(spread) < 1e-4).all() and spread[0] > spread[-1]  # ... with falling spread


def test_two_materials_are_told_apart_in_all_pictures():
    graph = build_graph([make_regions(seed) for seed in (1, 2, 3)], dim=4)
    np.testing.assert_allclose(np.linalg.norm(graph.embeddings, axis=1), 1, atol=1e-9)
    right = np.tile(np.arange(64) % 8 >= 4, 3)
    cosines = graph.embeddings @ graph.embeddings.T
    within, between = cosines[right][:, right].mean(), cosines[right][:, ~right].mean()
    assert within > between + 0.5


def test_extension_agrees_with_the_graph_on_its_own_pictures():
    pictures = [make_regions(seed) for seed in (1, 2, 3)]
    graph = build_graph(pictures, dim=4)
    extended = extend(graph, cKDTree(graph.nodes), pictures[1])
    agreement = np.einsum("ij,ij->i", extended, graph.embeddings[64:128])
    assert np.median(agreement) > 0.9
    fresh = extend(graph, cKDTree(graph.nodes), make_regions(9))
    sides = fresh.reshape(8, 8, 4)
    assert (sides[:, 0] @ sides[:, 7].T).mean() < (sides[:, 0] @ sides[:, 1].T).mean() - 0.5


def test_fewer_superpixels_than_channels_are_padded_and_too_few_refused():
    assert build_graph([make_regions(1, side=4)], dim=32).embeddings.shape == (16, 32)
    with pytest.raises(ValueError, match="superpixels in all"):
        build_graph([make_regions(1, side=2)], dim=4)
