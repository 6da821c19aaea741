"""Mean squared distance to the three nearest others, against brute force."""

from __future__ import annotations

import pytest
import torch
from ndraster import mean_neighbour_distance2


def brute_force(points: torch.Tensor) -> torch.Tensor:
    squared = torch.cdist(points.double(), points.double()).square().fill_diagonal_(float("inf"))
    return squared.topk(min(3, len(points) - 1), largest=False).values.mean(1)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 200])
def test_agrees_with_brute_force(count):
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(count))
    found = mean_neighbour_distance2(points)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), brute_force(points), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("count", [0, 1])
def test_without_neighbours_it_is_zero(count):
    assert torch.equal(mean_neighbour_distance2(torch.ones(count, 3)), torch.zeros(count))


def test_coinciding_points():
    assert torch.equal(mean_neighbour_distance2(torch.ones(6, 3)), torch.zeros(6))
