"""Rigidity losses: the plain version by its definition, and the fused kernels against it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import ndraster
import pytest
import torch
from ndraster import BackendError, Neighbourhood, ShapeError, rigidity_losses
from torch import Tensor

from tests.ndraster.clouds import COMPILED, CPU, GPU

compiled = pytest.mark.parametrize("backend", COMPILED)


@dataclass(frozen=True)
class Problem:
    """What the losses take: float64 that float32 represents exactly."""

    means: Tensor
    quats: Tensor
    previous_quats: Tensor
    previous_offsets: Tensor
    hood: Neighbourhood

    @property
    def arguments(self) -> tuple:
        return self.means, self.quats, self.previous_quats, self.previous_offsets, self.hood

    def to(self, dtype: torch.dtype, device: str = "cpu") -> Problem:
        tensors = [t.detach().to(device, dtype) for t in self.arguments[:4]]
        hood = replace(self.hood, weights=self.hood.weights.to(dtype), distances=self.hood.distances.to(dtype))
        return Problem(*(t.requires_grad_(i < 2) for i, t in enumerate(tensors)), hood.to(device))


def problem(count: int = 40, width: int = 5, seed: int = 0) -> Problem:
    """A cloud that moved, turned and bent; every row has `width` others as neighbours, some pairs are cut."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    indices = torch.stack([1 + torch.randperm(count - 1, generator=generator)[:width] for _ in range(count)])
    indices = (indices + torch.arange(count)[:, None]) % count
    weights = torch.rand(count, width, generator=generator) * (torch.rand(count, width, generator=generator) > 0.2)
    weights[0] = 0.5
    quats, before = (torch.nn.functional.normalize(normal(count, 4), dim=-1) for _ in range(2))
    hood = Neighbourhood.of(indices.int(), weights.double(), normal(count, width).abs().double())
    made = Problem(normal(count, 3), quats, before, normal(count, width, 3), hood)
    return made.to(torch.float64)


def with_gradients(given: Problem, backend: str = "auto", slopes: tuple[float, ...] = (4.0, 3.0, 2.0)) -> list[Tensor]:
    """Losses, and the gradients of means and quaternions."""
    losses = rigidity_losses(*given.arguments, backend=backend)
    weighted = (losses * torch.tensor(slopes).to(losses)).sum()
    return [losses.detach(), *torch.autograd.grad(weighted, (given.means, given.quats))]


def relative_error(value: Tensor, expected: Tensor) -> float:
    return ((value.cpu().double() - expected).norm() / expected.norm()).item()


def rotation_rows(q: list[float]) -> list[list[float]]:
    w, x, y, z = q
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]


def turn_of(q: list[float], p: list[float]) -> list[float]:
    """q times the conjugate of p, by the table of i, j and k."""
    w, x, y, z = p[0], -p[1], -p[2], -p[3]
    return [
        q[0] * w - q[1] * x - q[2] * y - q[3] * z,
        q[0] * x + q[1] * w + q[2] * z - q[3] * y,
        q[0] * y - q[1] * z + q[2] * w + q[3] * x,
        q[0] * z + q[1] * y - q[2] * x + q[3] * w,
    ]


def by_hand(given: Problem) -> list[float]:
    """The definition, pair by pair, with rotation matrices and Python's numbers."""
    means, quats, before, offsets = (t.tolist() for t in given.arguments[:4])
    hood = given.hood
    turns = [turn_of(q, p) for q, p in zip(quats, before, strict=True)]
    sums, count = [0.0, 0.0, 0.0], 0
    for i, row in enumerate(hood.indices.tolist()):
        matrix = rotation_rows(turns[i])
        for c, j in enumerate(row):
            weight, rest = hood.weights[i, c].item(), hood.distances[i, c].item()
            o = [means[j][a] - means[i][a] for a in range(3)]
            error = [sum(matrix[a][b] * o[a] for a in range(3)) - offsets[i][c][b] for b in range(3)]
            sums[0] += math.sqrt(weight * sum(e * e for e in error) + 1e-20)
            sums[1] += math.sqrt(weight * sum((a - b) ** 2 for a, b in zip(turns[j], turns[i], strict=True)) + 1e-20)
            sums[2] += math.sqrt(weight * (math.sqrt(sum(x * x for x in o) + 1e-20) - rest) ** 2 + 1e-20)
            count += 1
    return [s / count for s in sums]


class TestReference:
    @pytest.mark.parametrize(("count", "width"), [(2, 1), (9, 1), (12, 4), (30, 20)])
    def test_is_the_definition(self, count, width):
        given = problem(count, width)
        assert rigidity_losses(*given.arguments, backend="reference").tolist() == pytest.approx(
            by_hand(given), rel=1e-12
        )

    def test_gradients_are_finite_differences(self):
        given = problem(6, 3)
        assert torch.autograd.gradcheck(
            lambda means, quats: rigidity_losses(means, quats, *given.arguments[2:]), (given.means, given.quats)
        )

    def test_a_rigid_motion_costs_nothing(self):
        given = problem(20, 4)
        axis = torch.nn.functional.normalize(torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64), dim=0)
        spin = torch.cat([torch.tensor([math.cos(0.4)], dtype=torch.float64), math.sin(0.4) * axis])
        matrix = torch.tensor(rotation_rows(spin.tolist()), dtype=torch.float64)
        no_turn = [1.0, 0.0, 0.0, 0.0]
        quats = torch.tensor([turn_of(spin.tolist(), turn_of(no_turn, p)) for p in given.previous_quats.tolist()])
        offsets = given.means[given.hood.indices.long()] - given.means[:, None]
        hood = replace(given.hood, distances=offsets.norm(dim=-1))
        losses = rigidity_losses(
            given.means @ matrix.T + 2, quats.double(), given.previous_quats, offsets.detach(), hood
        )
        assert losses.max() < 1e-6

    def test_only_means_and_quaternions_are_learnt(self):
        given = problem()
        fixed = [t.clone().requires_grad_(True) for t in (given.previous_quats, given.previous_offsets)]
        rigidity_losses(given.means, given.quats, *fixed, given.hood).sum().backward()
        assert all(t.grad is None for t in fixed)
        assert given.means.grad.abs().sum() > 0 and given.quats.grad.abs().sum() > 0


@compiled
class TestFused:
    @pytest.mark.parametrize(("count", "width"), [(2, 1), (7, 1), (40, 5), (300, 20), (1000, 33)])
    def test_values_and_gradients(self, backend, count, width):
        exact = problem(count, width)
        right, ours = with_gradients(exact), with_gradients(exact.to(torch.float32, backend), backend)
        for a, b in zip(ours, right, strict=True):
            assert a.dtype == torch.float32 and relative_error(a, b) <= 1e-6

    @pytest.mark.parametrize("term", [0, 1, 2])
    def test_each_term_alone(self, backend, term):
        slopes = tuple(float(i == term) for i in range(3))
        exact = problem(60, 6)
        right = with_gradients(exact, slopes=slopes)
        ours = with_gradients(exact.to(torch.float32, backend), backend, slopes)
        assert all(torch.equal(b, 0 * b) or relative_error(a, b) <= 1e-6 for a, b in zip(ours, right, strict=True))
        assert ours[1].any() == right[1].any() and ours[2].any() == right[2].any()

    def test_one_row_that_all_others_have_as_a_neighbour(self, backend):
        exact = problem(500, 2)
        indices = exact.hood.indices.clone()
        indices[1:, 0] = 0
        exact = replace(exact, hood=Neighbourhood.of(indices, exact.hood.weights, exact.hood.distances))
        right, ours = with_gradients(exact), with_gradients(exact.to(torch.float32, backend), backend)
        assert all(relative_error(a, b) <= 1e-6 for a, b in zip(ours, right, strict=True))

    def test_cut_pairs_pull_at_nothing(self, backend):
        given = problem().to(torch.float32, backend)
        given = replace(given, hood=given.hood.with_weights(torch.zeros_like(given.hood.weights)))
        losses, *slopes = with_gradients(given, backend)
        assert losses.tolist() == pytest.approx([1e-10] * 3, rel=1e-5) and not any(s.any() for s in slopes)

    def test_nothing_moved_and_points_coincide(self, backend):
        given = problem().to(torch.float32, backend)
        hood = replace(given.hood, distances=torch.zeros_like(given.hood.distances))
        still = torch.zeros_like(given.means).requires_grad_(True)
        turned = given.previous_quats.clone().requires_grad_(True)
        pose = Problem(still, turned, given.previous_quats, torch.zeros_like(given.previous_offsets), hood)
        losses, *slopes = with_gradients(pose, backend)
        assert losses.max() < 1e-6 and all(s.isfinite().all() for s in slopes)

    def test_equal_bits_each_time(self, backend):
        given = problem(3000, 20).to(torch.float32, backend)
        runs = [with_gradients(given, backend) for _ in range(2)]
        assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))

    def test_views_are_read_as_they_are(self, backend):
        given = problem().to(torch.float32, backend)
        hood = given.hood
        wide = torch.stack([hood.weights, hood.distances], dim=-1)
        spread = replace(hood, weights=wide[..., 0], distances=wide[..., 1], indices=hood.indices.T.contiguous().T)
        means = torch.cat([given.means.detach(), given.quats.detach()], 1)[:, :3].requires_grad_(True)
        again = with_gradients(replace(given, means=means, hood=spread), backend)
        assert all(torch.equal(a, b) for a, b in zip(again, with_gradients(given, backend), strict=True))


@CPU
def test_thread_counts_agree_to_the_bit():
    given, before = problem(2000, 8).to(torch.float32), torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            runs.append(with_gradients(given, "cpu"))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))


class TestNeighbourhood:
    def test_incoming_lists_hold_every_pair_once(self):
        hood = problem(30, 4).hood
        assert hood.incoming_pairs.sort().values.tolist() == list(range(120)) and hood.incoming_offsets[-1] == 120
        for row in range(30):
            pairs = hood.incoming_pairs[hood.incoming_offsets[row] : hood.incoming_offsets[row + 1]]
            assert (hood.indices.reshape(-1)[pairs.long()] == row).all() and (pairs.diff() > 0).all()
        assert all(t.dtype == torch.int32 for t in (hood.indices, hood.incoming_offsets, hood.incoming_pairs))

    def test_int64_indices_become_int32(self):
        hood = Neighbourhood.of(torch.tensor([[1], [0]]), torch.ones(2, 1), torch.ones(2, 1))
        assert hood.indices.dtype == torch.int32 and hood.incoming_pairs.tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("indices", "weights", "message"),
        [
            ([[1], [2]], [[1.0], [1.0]], r"from 1 to 2; expected 0 to 1"),
            ([[1], [-1]], [[1.0], [1.0]], r"from -1 to 1"),
            ([[1], [0]], [[1.0], [-0.5]], r"-0.5; expected 0 \(cut\) or more"),
            ([[1], [0]], [[1.0], [math.nan]], r"nan; expected 0"),
            ([[1], [0]], [[1.0]], r"\[2, 1\], \[1, 1\], \[2, 1\]; expected three equal"),
        ],
    )
    def test_bad_pairs_are_refused(self, indices, weights, message):
        with pytest.raises(ShapeError, match=message):
            Neighbourhood.of(torch.tensor(indices), torch.tensor(weights), torch.ones(2, 1))

    def test_weights_of_another_shape_are_refused(self):
        with pytest.raises(ShapeError, match=r"\[3, 4\]; expected \[40, 5\]"):
            problem().hood.with_weights(torch.ones(3, 4))


class TestArguments:
    def test_no_pairs(self):
        hood = Neighbourhood.of(torch.zeros(0, 4, dtype=torch.int32), torch.zeros(0, 4), torch.zeros(0, 4))
        losses = rigidity_losses(torch.zeros(0, 3), torch.zeros(0, 4), torch.zeros(0, 4), torch.zeros(0, 4, 3), hood)
        assert losses.tolist() == [0, 0, 0]

    def test_other_shapes_are_refused(self):
        given = problem()
        with pytest.raises(ShapeError, match=r"\(40, 4\).*expected \[\(40, 3\)"):
            rigidity_losses(given.quats, *given.arguments[1:])

    def test_mixed_types_are_refused(self):
        given = problem()
        with pytest.raises(ShapeError, match="float32.*float64.*expected one kind"):
            rigidity_losses(given.means.float(), *given.arguments[1:])

    def test_compiled_backends_take_float32(self):
        with pytest.raises(BackendError, match="float64.*float32"):
            rigidity_losses(*problem().arguments, backend="cpu")


class TestOnGpu:
    pytestmark = GPU

    def test_in_a_graph(self):
        given = problem(2000, 20).to(torch.float32, "cuda")
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            with_gradients(given)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        slopes = torch.tensor([4.0, 3.0, 2.0], device="cuda")
        with torch.cuda.graph(graph):
            losses = rigidity_losses(*given.arguments)
            replayed = [losses, *torch.autograd.grad((losses * slopes).sum(), (given.means, given.quats))]
        with torch.no_grad():
            given.means.mul_(0.5)  # replays see what is there then
            given.hood.weights[:, 3] = 0
        for _ in range(3):
            graph.replay()
        for a, b in zip(replayed, with_gradients(given), strict=True):
            assert torch.equal(a, b)

    def test_auto_is_the_kernel(self):
        given = problem(500, 20).to(torch.float32, "cuda")
        assert ndraster.available_backends()[0] == "cuda"
        for a, b in zip(with_gradients(given), with_gradients(given, "cuda"), strict=True):
            assert torch.equal(a, b)

    def test_of_the_whole_size(self):
        """50 000 rows and the million pairs that the docs speak of."""
        exact = problem(2000, 20)
        copies = 25
        shift = (2000 * torch.arange(copies)).repeat_interleave(2000)[:, None]
        hood = exact.hood
        many = Neighbourhood.of(
            hood.indices.repeat(copies, 1) + shift, hood.weights.repeat(copies, 1), hood.distances.repeat(copies, 1)
        )
        tensors = [t.repeat(copies, *[1] * (t.dim() - 1)) for t in exact.arguments[:4]]
        right = with_gradients(exact)
        ours = with_gradients(Problem(*tensors, many).to(torch.float32, "cuda"), "cuda")
        assert relative_error(ours[0], right[0]) <= 1e-6
        for a, b in zip(ours[1:], right[1:], strict=True):
            assert relative_error(copies * a, b.repeat(copies, 1)) <= 1e-6
