"""ndraster/activation.py and the optimizer step: the fused kernels against plain torch."""

from __future__ import annotations

from dataclasses import replace

import ndraster
import pytest
import torch

from tests.ndraster.clouds import GPU, camera, cloud, moved

NAMES = ("quats_wxyz", "scales", "opacities")


def stored(count: int, coefficients: int) -> list[torch.Tensor]:
    """Means and stored parameters, as leaves."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(count, 3), (count, 4), (count, 3), (count, 1), (count, 1, 3), (count, coefficients - 1, 3)]
    tensors = [torch.randn(*shape, generator=generator) for shape in shapes]
    tensors[1][0] = 0.0  # no direction at all
    return [t.requires_grad_(True) for t in tensors]


def test_activation_is_the_formula():
    means, rotations, log_scales, logits, dc, rest = tensors = stored(5, 4)
    made = ndraster.activate(*tensors)
    assert made.means is means
    torch.testing.assert_close(made.quats_wxyz[1:].norm(dim=1), torch.ones(4))
    torch.testing.assert_close(made.scales, log_scales.exp())
    torch.testing.assert_close(made.opacities, 1 / (1 + torch.exp(-logits[:, 0])))
    assert made.sh is dc and made.sh_rest is rest
    assert not made.quats_wxyz[0].any() and rotations.requires_grad


def test_screen_gradients_are_scaled_and_counted():
    probe = torch.tensor([[3.0, 4.0, 6.0, 8.0], [0.0, 0.0, 0.0, 0.0]])
    for absolute, length in ((False, 5.0), (True, 10.0)):
        total, seen = torch.ones(2), torch.zeros(2)
        ndraster.add_screen_gradients(probe, torch.tensor([2, 0]), (1.0, 1.0), absolute, total, seen)
        assert total.tolist() == [1.0 + length, 1.0] and seen.tolist() == [1.0, 0.0]


class TestOnGpu:
    pytestmark = GPU

    @pytest.mark.parametrize("count", [1, 1000])
    def test_activation(self, count):
        plain = stored(count, 4)
        fused = [t.detach().cuda().requires_grad_(True) for t in plain]
        right, ours = ndraster.activate(*plain), ndraster.activate(*fused)
        for name in NAMES:
            expected, value = getattr(right, name), getattr(ours, name)
            torch.testing.assert_close(value.cpu(), expected, rtol=1e-5, atol=1e-6)
            weight = torch.rand(expected.shape, generator=torch.Generator().manual_seed(1))
            (expected * weight).sum().backward(retain_graph=True)
            (value * weight.cuda()).sum().backward(retain_graph=True)
        for a, b in zip(fused[1:4], plain[1:4], strict=True):
            kept = slice(1, None) if count > 1 else slice(None)  # at length 0 the slope is 1e12
            torch.testing.assert_close(a.grad.cpu()[kept], b.grad[kept], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("absolute", [False, True])
    def test_screen_gradients(self, absolute):
        probe, radii = torch.randn(1000, 4), torch.randint(0, 3, (1000,), dtype=torch.int32)
        probe[radii == 0] = 0
        sums = [torch.rand(1000), torch.rand(1000)]
        on_gpu = [t.cuda() for t in sums]
        ndraster.add_screen_gradients(probe, radii, (20.0, 10.0), absolute, *sums)
        ndraster.add_screen_gradients(probe.cuda(), radii.cuda(), (20.0, 10.0), absolute, *on_gpu)
        for a, b in zip(on_gpu, sums, strict=True):
            torch.testing.assert_close(a.cpu(), b, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("size", [(1, 1), (17, 33), (64, 32), (70, 131)])
    def test_photometric_loss(self, size):
        image = torch.rand(3, *size)
        target = (image + 0.2 * torch.randn(3, *size)).clamp(0, 1)
        target[0] = image[0]  # no difference, no slope
        plain, fused = (t.clone().requires_grad_(True) for t in (image.double(), image.cuda()))
        right = ndraster.photometric_loss(plain, target.double(), 0.3)
        ours = ndraster.photometric_loss(fused, target.cuda(), 0.3)
        torch.testing.assert_close(ours.cpu().double(), right, rtol=1e-5, atol=1e-6)
        (2 * right).backward()
        (2 * ours).backward()
        error = (fused.grad.cpu().double() - plain.grad).norm()
        assert error < 1e-4 * plain.grad.norm()

    @pytest.mark.parametrize("degree", [0, 1, 2, 3])
    @pytest.mark.parametrize("apart", [False, True])
    def test_colours_from_coefficients_kept_apart_or_not(self, degree, apart):
        whole = moved(cloud(300, degree=3, seed=3), torch.float32)
        right = ndraster.rasterize(whole, camera(), settings=ndraster.Settings(sh_degree=degree), backend="reference")
        given = moved(whole, "cuda")
        leaves = (given.sh,)
        if apart:
            leaves = tuple(t.detach().contiguous().requires_grad_(True) for t in (given.sh[:, :1], given.sh[:, 1:]))
            given = replace(given, sh=leaves[0], sh_rest=leaves[1])
        ours = ndraster.rasterize(given, camera(), settings=ndraster.Settings(sh_degree=degree))
        torch.testing.assert_close(ours.color.cpu(), right.color, rtol=1e-3, atol=1e-3)
        right.color.square().sum().backward()
        ours.color.square().sum().backward()
        gradient = torch.cat([leaf.grad for leaf in leaves], 1).cpu()
        assert (gradient - whole.sh.grad).norm() < 1e-3 * whole.sh.grad.norm()
        assert (given.means.grad.cpu() - whole.means.grad).norm() < 1e-3 * whole.means.grad.norm()
