"""scene/motion/bonds.py"""

import math

import torch

from scene.motion.bonds import Bonds


def two_lines() -> torch.Tensor:
    """Two rows of five points each, side by side."""
    along = torch.arange(5.0)
    first = torch.stack([along, torch.zeros(5), torch.zeros(5)], 1)
    return torch.cat([first, first + torch.tensor([0.0, 1.1, 0.0])])


def test_weights_fall_with_the_distance():
    bonds = Bonds.between(two_lines(), 2, falloff=2.0)
    distances = bonds.hood.distances
    assert torch.allclose(bonds.hood.weights, torch.exp(-2.0 * distances**2))
    assert float(distances.min()) == 1.0


def test_the_usual_pair_weighs_a_half_at_any_scale():
    for scale in (1e-3, 1.0, 1e3):
        points = scale * torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
        bonds = Bonds.between(points, 8)
        squares = bonds.hood.distances.square().mean(1).median()
        assert math.isclose(float(torch.exp(-math.log(2) * squares / squares)), 0.5)
        assert 0.4 < float(bonds.hood.weights.median()) < 0.7


def test_only_pairs_that_stay_strained_are_cut():
    points = two_lines()
    bonds = Bonds.between(points, 3)
    apart = points.clone()
    apart[5:, 1] += 1.0
    between = (bonds.hood.indices >= 5) != (torch.arange(10)[:, None] >= 5)
    assert bonds.cut(apart, 0.2, after=2) == 0
    assert bonds.cut(points, 0.2, after=2) == 0  # together again: the count starts over
    assert [bonds.cut(apart, 0.2, after=2) for _ in range(3)] == [0, 0, int(between.sum())]
    assert bool((bonds.hood.weights[between] == 0).all()) and bool((bonds.hood.weights[~between] > 0).all())


def test_there_may_be_fewer_points_than_neighbours():
    assert Bonds.between(two_lines()[:3], 20).hood.indices.shape == (3, 2)
