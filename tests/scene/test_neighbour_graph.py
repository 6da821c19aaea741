"""The graph of near neighbours: each step as a property."""

import pytest
import torch

from scene.neighbour_graph import (
    connected_groups,
    drop_islands,
    fill_holes,
    nearest_neighbours,
    reachable_similarity,
    smooth,
)


def line_neighbours(count):
    return nearest_neighbours(torch.arange(count)[:, None] * torch.tensor([[1.0, 0, 0]]), 2)


def test_smoothing_keeps_constants_and_ignores_the_unseen():
    neighbours = line_neighbours(5)
    torch.testing.assert_close(smooth(torch.full((5,), 0.7), torch.ones(5), neighbours), torch.full((5,), 0.7))
    values, weight = torch.tensor([1.0, 1, 0, 1, 1]), torch.ones(5)
    assert smooth(values, weight, neighbours)[2] == pytest.approx(0.5)
    weight[2] = 0.0
    assert smooth(values, weight, neighbours)[1] == pytest.approx(1.0), "its unseen neighbour does not pull it down"


def test_reachable_similarity_is_the_weakest_link_of_the_best_chain():
    values = torch.tensor([0.9, 0.8, 0.3, 0.7, 0.95])
    reached = reachable_similarity(values, line_neighbours(5), torch.tensor([0]))
    torch.testing.assert_close(reached, torch.tensor([0.9, 0.8, 0.3, 0.3, 0.3]))
    reached = reachable_similarity(values, line_neighbours(5), torch.tensor([0, 4]))
    torch.testing.assert_close(reached, torch.tensor([0.9, 0.8, 0.3, 0.7, 0.95]))


def test_reachable_similarity_agrees_with_components_at_every_threshold():
    generator = torch.Generator().manual_seed(0)
    neighbours = nearest_neighbours(torch.rand(200, 3, generator=generator), 4)
    values, seed = torch.rand(200, generator=generator), torch.tensor([17])
    values[17] = 1.0
    reached = reachable_similarity(values, neighbours, seed)
    for threshold in (0.2, 0.5, 0.7):
        groups = connected_groups(values >= threshold, neighbours)
        component = torch.from_numpy(groups == groups[17]) & (values >= threshold)
        assert torch.equal(reached >= threshold, component)


def test_islands_are_dropped():
    mask = torch.tensor([True] * 30 + [False] * 5 + [True] + [False] * 4)
    kept = drop_islands(mask, torch.ones(40), line_neighbours(40), min_share=0.05)
    assert kept[:30].all() and not kept[30:].any()
    none = torch.zeros(40, dtype=torch.bool)
    assert torch.equal(drop_islands(none, torch.ones(40), line_neighbours(40), 0.05), none)


def test_holes_are_filled_but_not_what_lies_outside():
    mask = torch.tensor([True] * 10 + [False] * 2 + [True] * 10 + [False] * 18)
    filled = fill_holes(mask, torch.ones(40), line_neighbours(40), max_share=0.2, max_of_all=1.0)
    assert filled[:22].all() and not filled[22:].any()
    assert torch.equal(fill_holes(mask, torch.ones(40), line_neighbours(40), max_share=0.05, max_of_all=1.0), mask)
    assert torch.equal(fill_holes(mask, torch.ones(40), line_neighbours(40), max_share=0.2, max_of_all=0.04), mask)


def test_a_small_group_far_away_is_no_hole():
    points = torch.cat([torch.arange(30), 1000 + torch.arange(5), 5000 + torch.arange(100)])
    neighbours = nearest_neighbours(points[:, None] * torch.tensor([[1.0, 0, 0]]), 2)
    mask = torch.arange(135) < 30
    assert torch.equal(fill_holes(mask, torch.ones(135), neighbours, max_share=0.5, max_of_all=1.0), mask)
