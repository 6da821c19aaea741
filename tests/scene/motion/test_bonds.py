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


def test_a_block_is_put_behind_or_in_the_place_of_rows_and_bonded_in_itself():
    bonds, block = Bonds.between(two_lines(), 3), Bonds.between(two_lines()[:4] * 2, 3)
    longer = bonds.with_block(10, block.loose())
    assert torch.equal(longer.hood.indices[:10], bonds.hood.indices)
    assert torch.equal(longer.hood.indices[10:], block.hood.indices + 10)
    assert not longer.hood.weights[10:].any() and torch.equal(longer.hood.weights[:10], bonds.hood.weights)
    again = longer.with_block(10, block)
    assert torch.equal(again.hood.weights[10:], block.hood.weights) and len(again.strained) == 14
    inside = again.with_block(2, block)
    assert torch.equal(inside.hood.indices[2:6], block.hood.indices + 2) and len(inside.strained) == 14
    assert torch.equal(inside.hood.distances[6:], again.hood.distances[6:])


def test_bonds_are_restored_as_they_were():
    bonds = Bonds.between(two_lines(), 3)
    bonds.cut(2 * two_lines(), 0.5, 0)
    again = Bonds.restored(bonds.state_dict())
    for name, value in bonds.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    assert torch.equal(again.hood.incoming_pairs, bonds.hood.incoming_pairs)
