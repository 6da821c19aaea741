"""ndraster/deform_mlp.py: the plain network by its definition, and the fused kernels against it."""

from __future__ import annotations

from dataclasses import replace

import ndraster
import pytest
import torch
from ndraster import DeformWeights, ShapeError, deform_mlp
from ndraster.deform_mlp import frequency_code
from torch import Tensor

from tests.ndraster.clouds import GPU

OUTPUTS = 10


def weights_like_torch(outputs: int = OUTPUTS, seed: int = 0) -> DeformWeights:
    """Float64 that float32 represents exactly, drawn as torch.nn.Linear draws."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(fan_in: int, *shape: int) -> Tensor:
        return ((2 * torch.rand(*shape, generator=generator) - 1) / fan_in**0.5).double()

    hidden = tuple(uniform(319 if i == 4 else 256, 256, 256) for i in range(7))
    biases = tuple(uniform(256, 256) for _ in range(8))
    ends = (uniform(63, 256, 63), hidden, uniform(319, 256, 63))
    return DeformWeights(*ends, biases, uniform(256, outputs, 256), uniform(256, outputs))


def points_between(count: int, reach: float = 1.3) -> Tensor:
    """[count, 3] within +-reach, float64 that float32 represents exactly."""
    generator = torch.Generator().manual_seed(1)
    return (reach * (2 * torch.rand(count, 3, generator=generator) - 1)).double()


def mapped(weights: DeformWeights, change) -> DeformWeights:
    first, *rest = (change(t) for t in weights.tensors)
    return DeformWeights(first, tuple(rest[:7]), rest[7], tuple(rest[8:16]), *rest[16:])


def decided(weights: DeformWeights) -> DeformWeights:
    """No neuron near the step of its ReLU: all gradients are smooth in what rounding changes."""
    generator = torch.Generator().manual_seed(3)
    biases = tuple(6.0 * torch.randint(0, 2, (256,), generator=generator).double() - 3.0 for _ in weights.biases)
    return replace(mapped(weights, lambda t: t / 4), biases=biases)


def on_gpu(weights: DeformWeights) -> DeformWeights:
    return mapped(weights, lambda t: t.detach().float().cuda().requires_grad_(True))


def relative_error(value: Tensor, expected: Tensor) -> float:
    return ((value.detach().cpu().double() - expected).norm() / expected.norm()).item()


def gradients(points: Tensor, weights: DeformWeights) -> tuple[Tensor, ...]:
    """The outputs, and the gradients of all weights for a fixed random cotangent."""
    out = deform_mlp(points, weights)
    cotangent = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(out)
    return out, *torch.autograd.grad(out, weights.tensors, cotangent)


def cosine(value: Tensor, expected: Tensor) -> float:
    return torch.cosine_similarity(value.detach().cpu().double().flatten(), expected.flatten(), dim=0).item()


def test_code_is_the_formula():
    x = torch.tensor([[0.1, -0.2, 1.0]], dtype=torch.float64)
    code = frequency_code(x)[0]
    assert code.shape == (63,) and torch.equal(code[:3], x[0])
    torch.testing.assert_close(code[3 + 6 * 9 + 1], torch.sin(512 * x[0, 1]))
    torch.testing.assert_close(code[6 + 6 * 2 + 2], torch.cos(4 * x[0, 2]))


def test_time_in_the_bias_is_the_time_in_the_input():
    """The paper gives layers 0 and 5 [code of x, code of t]; here the moment's columns are part of the bias."""
    weights, points = weights_like_torch(), points_between(7)
    moment = torch.rand(21, dtype=torch.float64)
    columns = [torch.randn(256, 21, dtype=torch.float64) * 0.1 for _ in range(2)]
    given = torch.cat([frequency_code(points), moment.expand(7, -1)], dim=1)
    hidden = given
    for layer, bias in enumerate(weights.biases):
        inputs, matrix = hidden, weights.hidden[layer - 1]
        if layer == 0:
            matrix = torch.cat([weights.first, columns[0]], dim=1)
        if layer == 5:
            inputs, matrix = torch.cat([given, hidden], dim=1), torch.cat([weights.skip, columns[1], matrix], dim=1)
        hidden = torch.relu(inputs @ matrix.T + bias)
    expected = hidden @ weights.head.T + weights.head_bias
    biases = list(weights.biases)
    biases[0], biases[5] = biases[0] + columns[0] @ moment, biases[5] + columns[1] @ moment
    torch.testing.assert_close(deform_mlp(points, replace(weights, biases=tuple(biases))), expected)


def test_gradients_of_the_plain_network():
    weights = mapped(weights_like_torch(outputs=3), lambda t: t.requires_grad_(True))
    points = points_between(3).requires_grad_(True)
    inputs = (weights.head, weights.head_bias, weights.biases[0], weights.biases[5])

    def run(*changed: Tensor) -> Tensor:
        biases = (changed[2], *weights.biases[1:5], changed[3], *weights.biases[6:])
        return deform_mlp(points, replace(weights, head=changed[0], head_bias=changed[1], biases=biases))

    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
    deform_mlp(points, weights).sum().backward()
    assert points.grad is None and all(t.grad.abs().sum() > 0 for t in weights.tensors)


@pytest.mark.parametrize(
    "change",
    [
        lambda w: replace(w, first=w.first[:, :60]),
        lambda w: replace(w, hidden=w.hidden[:6]),
        lambda w: replace(w, biases=(*w.biases[:7], w.biases[7][:1])),
        lambda w: replace(w, head=w.head[:5]),
        lambda w: replace(w, head=w.head.repeat(2, 1), head_bias=w.head_bias.repeat(2)),
    ],
)
def test_other_shapes_are_refused(change):
    with pytest.raises(ShapeError, match="expected"):
        deform_mlp(points_between(2), change(weights_like_torch()))


def test_points_need_three_columns():
    with pytest.raises(ShapeError, match=r"\[2, 4\]; expected \[N, 3\]"):
        deform_mlp(torch.zeros(2, 4), weights_like_torch())


def test_tensors_are_in_the_order_of_the_fields():
    weights = weights_like_torch()
    again = mapped(weights, lambda t: t)
    assert len(weights.tensors) == 19 and again.hidden == weights.hidden and again.biases == weights.biases
    assert again.skip is weights.skip and again.head is weights.head


def test_the_cpu_has_no_kernels():
    assert not ndraster.has_deform_mlp(torch.zeros(1))


class TestOnGpu:
    pytestmark = GPU

    @pytest.mark.parametrize("count", [1, 127, 128, 129, 200, 1000, 5000])
    @pytest.mark.parametrize("outputs", [OUTPUTS, 13])
    def test_values_and_gradients(self, count, outputs):
        plain, points = (
            mapped(decided(weights_like_torch(outputs)), lambda t: t.requires_grad_(True)),
            points_between(count),
        )
        fused = on_gpu(plain)
        assert ndraster.has_deform_mlp(fused.head)
        right, ours = gradients(points, plain), gradients(points.float().cuda(), fused)
        assert relative_error(ours[0], right[0]) <= 2e-3
        for a, b in zip(ours, right, strict=True):
            assert a.dtype == torch.float32 and a.shape == b.shape
            assert cosine(a, b) >= 0.9999 and relative_error(a, b) <= 1e-2

    @pytest.mark.parametrize("count", [127, 1000, 5000])
    def test_neurons_near_their_step(self, count):
        """Rounding lets about one neuron in a thousand through that should not be, or the other way round."""
        plain = mapped(weights_like_torch(), lambda t: t.requires_grad_(True))
        right = gradients(points_between(count), plain)
        ours = gradients(points_between(count).float().cuda(), on_gpu(plain))
        assert relative_error(ours[0], right[0]) <= 1e-3 and cosine(ours[0], right[0]) >= 0.9999
        for a, b in zip(ours[1:], right[1:], strict=True):
            assert cosine(a, b) >= 0.998 and relative_error(a, b) <= 6e-2

    def test_no_points(self):
        out, *slopes = gradients(torch.zeros(0, 3, device="cuda"), on_gpu(weights_like_torch()))
        assert out.shape == (0, OUTPUTS) and not any(slope.any() for slope in slopes)

    def test_without_gradients_nothing_is_kept(self):
        weights, points = on_gpu(weights_like_torch()), points_between(300).float().cuda()
        with torch.no_grad():
            silent = deform_mlp(points, weights)
        assert not silent.requires_grad and torch.equal(silent, deform_mlp(points, weights))
        assert not torch.ops.ndraster_cuda.deform_mlp_forward(points, weights.tensors, False)[1]

    @pytest.mark.parametrize("reach", [1.3, 50.0])
    def test_code_in_the_kernel(self, reach):
        points, weights = points_between(500, reach), on_gpu(weights_like_torch())
        kept = torch.ops.ndraster_cuda.deform_mlp_forward(points.float().cuda(), weights.tensors, True)[1]
        code, expected = kept[0].double().cpu(), frequency_code(points)
        step = 2.0**-9 + 2.0**-12  # half a bfloat16 step below 1, and half a float16 step before it
        assert (code[:500, 3:63] - expected[:, 3:]).abs().max() < step + 1e-5
        torch.testing.assert_close(code[:500, :3], points, rtol=2 * step, atol=1e-7)
        assert not code[:, 63].any()

    def test_equal_bits_each_time(self):
        weights, points = on_gpu(weights_like_torch()), points_between(5000).float().cuda()
        runs = [torch.autograd.grad(deform_mlp(points, weights).square().sum(), weights.tensors) for _ in range(2)]
        assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))

    def test_small_gradients_do_not_vanish(self):
        weights, points = on_gpu(weights_like_torch()), points_between(500).float().cuda()
        runs = [torch.autograd.grad(scale * deform_mlp(points, weights).sum(), weights.first) for scale in (1, 2**-40)]
        torch.testing.assert_close(runs[1][0] * 2**40, runs[0][0], rtol=1e-3, atol=1e-6)

    def test_what_is_no_number_shows(self):
        weights, points = on_gpu(weights_like_torch()), points_between(300).float().cuda()
        points[200] = float("nan")
        bad = deform_mlp(points, weights).isnan().any(dim=1)
        assert bad[200] and bad.sum() == 1

    def test_in_a_graph(self):
        weights, points = on_gpu(weights_like_torch()), points_between(1000).float().cuda()

        def step() -> tuple[Tensor, ...]:
            out = deform_mlp(points, weights)
            return out, *torch.autograd.grad(out.square().sum(), weights.tensors)

        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            replayed = step()
        points.mul_(0.5)  # replays see what is there then
        graph.replay()
        for a, b in zip(replayed, step(), strict=True):
            assert torch.equal(a, b)
