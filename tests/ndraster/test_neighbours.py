"""Nearest neighbours, and the mean squared distance to three of them, against brute force."""

from __future__ import annotations

import pytest
import torch
from ndraster import ShapeError, mean_neighbour_distance2, nearest_neighbours
from ndraster.neighbours import _enclose, _make_boxes, _morton_codes
from torch import Tensor

from tests.ndraster.clouds import GPU

DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])


def brute_force(points: torch.Tensor) -> torch.Tensor:
    squared = torch.cdist(points.double(), points.double()).square().fill_diagonal_(float("inf"))
    return squared.topk(min(3, len(points) - 1), largest=False).values.mean(1)


def all_distances(points: Tensor, queries: Tensor | None) -> Tensor:
    """[Q, N] float64, by differences; infinite from a point to itself."""
    asked = points if queries is None else queries
    distances = (asked.double()[:, None] - points.double()).norm(dim=-1)
    return distances.fill_diagonal_(float("inf")) if queries is None else distances


def check(points: Tensor, k: int, queries: Tensor | None = None, device: str = "cpu") -> None:
    """Distances are the k least, rising; indices lead to points so far away, and none comes twice."""
    asked = None if queries is None else queries.to(device)
    indices, distances = (t.cpu() for t in nearest_neighbours(points.to(device), k, asked))
    assert indices.dtype == torch.int64 and distances.dtype == points.dtype
    every = all_distances(points, queries)
    right = every.topk(k, largest=False).values
    tolerance = {"rtol": 1e-6 if points.dtype == torch.float32 else 1e-12, "atol": 0}
    torch.testing.assert_close(distances.double(), right, **tolerance)
    torch.testing.assert_close(every.gather(1, indices), right, **tolerance)
    assert (indices.sort(dim=1).values.diff(dim=1) > 0).all()


def clouds() -> dict[str, Tensor]:
    """Even, clustered, flat and degenerate sets of points."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    clusters = normal(8, 1, 3) * 100 + normal(8, 80, 3) * torch.logspace(-4, 1, 8)[:, None, None]
    return {
        "even": normal(1500, 3),
        "clustered": clusters.reshape(-1, 3),
        "one far away": torch.cat([normal(500, 3) * 1e-3, torch.tensor([[1e4, -1e4, 1e4]])]),
        "flat": normal(700, 3) * torch.tensor([1.0, 0.0, 1.0]),
        "on a line": torch.linspace(0, 1, 900)[:, None] ** 2 * torch.tensor([1.0, 2.0, -1.0]),
        "lattice": torch.cartesian_prod(*[torch.arange(10.0)] * 3),
        "pairs": normal(300, 3).repeat(2, 1),
        "heaps": normal(6, 3).repeat_interleave(100, dim=0),
        "all at one place": torch.full((200, 3), 3.5),
        "tiny": normal(900, 3) * 1e-9,
        "far from zero": normal(900, 3) + 1000,
    }


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


@DEVICES
@pytest.mark.parametrize("name", clouds())
@pytest.mark.parametrize("k", [1, 20])
def test_neighbours_of_points(device, name, k):
    points = clouds()[name]
    check(points, k, device=device)


@DEVICES
@pytest.mark.parametrize("name", clouds())
def test_neighbours_of_other_places(device, name):
    points = clouds()[name]
    inside = points[::7] + 1e-3 * points.std()
    check(points, 9, torch.cat([inside, points[:5], points[:3] * 50 - 400]), device)


@DEVICES
@pytest.mark.parametrize(("count", "k"), [(2, 1), (21, 20), (33, 32), (34, 33), (65, 64), (100, 50)])
def test_few_points_and_many_neighbours(device, count, k):
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(1))
    check(points, k, device=device)
    check(points, count, points[:4] + 0.1, device)


@DEVICES
def test_float64(device):
    check(torch.randn(300, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64), 6, device=device)


@DEVICES
def test_no_queries(device):
    indices, distances = nearest_neighbours(torch.rand(9, 3, device=device), 2, torch.zeros(0, 3, device=device))
    assert indices.shape == distances.shape == (0, 2)


def test_results_stay_out_of_the_graph():
    points = torch.rand(9, 3, requires_grad=True)
    assert not nearest_neighbours(points, 2)[1].requires_grad


@pytest.mark.parametrize(
    ("points", "k", "queries", "message"),
    [
        (torch.rand(20, 3), 20, None, "20 neighbours are asked for and 19 are there"),
        (torch.rand(20, 3), 21, torch.rand(2, 3), "21 neighbours are asked for and 20 are there"),
        (torch.rand(20, 3), 0, None, "0 neighbours"),
        (torch.rand(0, 3), 1, None, "1 neighbours are asked for and 0 are there"),
        (torch.rand(20, 2), 1, None, r"points are \[20, 2\]; expected \[N, 3\]"),
        (torch.rand(20, 3), 1, torch.rand(3), r"queries are \[3\]"),
        (torch.full((20, 3), torch.nan), 1, None, "no numbers"),
        (torch.rand(20, 3), 1, torch.full((1, 3), torch.inf), "queries have coordinates"),
        (torch.full((20, 3), 1e19), 1, None, "beyond 1e"),
    ],
)
def test_bad_arguments_are_refused(points, k, queries, message):
    with pytest.raises(ShapeError, match=message):
        nearest_neighbours(points, k, queries)


class TestBoxes:
    """What the kernel searches, made by PyTorch on any device."""

    def test_codes_interleave_bits(self):
        points = torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
        size = (points.amax(0) - points.amin(0)).amax()
        for code, cell in zip(
            _morton_codes(points, points).tolist(),
            ((points - points.amin(0)) / size * (2**21 - 1)).long().tolist(),
            strict=True,
        ):
            assert code == sum((cell[axis] >> bit & 1) << (3 * bit + axis) for bit in range(21) for axis in range(3))

    def test_queries_far_outside_are_at_the_border(self):
        points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
        ends = _morton_codes(torch.tensor([[-9.0, -9.0, -9.0], [9.0, 9.0, 9.0]]), points)
        assert torch.equal(ends, _morton_codes(points, points)) and ends[1] == 2**63 - 1

    @pytest.mark.parametrize("name", clouds())
    def test_boxes_hold_their_points(self, name):
        points = clouds()[name]
        boxes = _make_boxes(points)
        assert torch.equal(boxes.points, points[boxes.order]) and (boxes.codes.diff() >= 0).all()
        for leaf, inside in zip(boxes.leaves, boxes.points.split(32), strict=True):
            assert torch.equal(leaf, torch.stack([inside.amin(0), inside.amax(0)]))
        assert torch.equal(boxes.groups, _enclose(*boxes.leaves.unbind(1)))
        for group, inside in zip(boxes.groups, boxes.points.split(1024), strict=True):
            assert torch.equal(group, torch.stack([inside.amin(0), inside.amax(0)]))


class TestOnGpu:
    pytestmark = GPU

    def test_the_whole_size(self):
        points = torch.randn(50_000, 3, generator=torch.Generator().manual_seed(4))
        ours = nearest_neighbours(points.cuda(), 20)
        right = nearest_neighbours(points, 20)
        torch.testing.assert_close(ours[1].cpu(), right[1], rtol=1e-6, atol=0)
        assert (ours[0].cpu() == right[0]).float().mean() > 0.999

    def test_equal_results_each_time(self):
        points = torch.rand(5000, 3, device="cuda").mul(20).round()  # many are equally far
        runs = [nearest_neighbours(points, 20) for _ in range(2)]
        assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))

    def test_mean_squared_distance(self):
        points = torch.randn(3000, 3, generator=torch.Generator().manual_seed(5))
        found = mean_neighbour_distance2(points.cuda())
        assert found.is_cuda
        torch.testing.assert_close(found.cpu().double(), brute_force(points), rtol=1e-5, atol=1e-8)
