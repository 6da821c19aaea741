"""Fused SSIM against its plain version in float64, and against torchmetrics away from the borders."""

from __future__ import annotations

import ndraster
import pytest
import torch
from ndraster.ssim import WINDOW, ssim_map

from tests.ndraster.clouds import COMPILED

compiled = pytest.mark.parametrize("backend", COMPILED)


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(shape, generator=generator)
    return (target + 0.2 * torch.randn(shape, generator=generator)).clamp(0, 1), target


@compiled
@pytest.mark.parametrize("shape", [(3, 40, 37), (2, 3, 33, 64), (1, 130, 16), (3, 5, 7), (3, 1, 1), (1, 1, 12, 150)])
def test_value_and_gradient(backend, shape):
    image, target = pair(*shape)
    exact = image.double().requires_grad_(True)
    batch = [x if x.dim() == 4 else x[None] for x in (exact, target.double())]
    right = ssim_map(*batch).mean()
    (2.5 * right).backward()
    ours = image.to(backend).requires_grad_(True)
    value = ndraster.ssim(ours, target.to(backend), backend=backend)
    (2.5 * value).backward()
    assert value.item() == pytest.approx(right.item(), abs=2e-6)
    assert (ours.grad.cpu() - exact.grad).abs().max() <= 1e-4 * exact.grad.abs().max()


@compiled
def test_flat_and_equal_images(backend):
    flat = torch.full((3, 20, 20), 0.25, device=backend, requires_grad=True)
    value = ndraster.ssim(flat, flat.detach(), backend=backend)
    value.backward()
    assert value.item() == pytest.approx(1, abs=1e-5)
    assert flat.grad.abs().max() < 1e-5


@compiled
def test_without_gradients(backend):
    image, target = (x.to(backend) for x in pair(3, 30, 30))
    assert not ndraster.ssim(image, target, backend=backend).requires_grad


def test_target_gets_no_gradient():
    image, target = (x.requires_grad_(True) for x in pair(3, 16, 16))
    ndraster.ssim(image, target, backend="reference").backward()
    assert target.grad is None and image.grad is not None


def test_reference_gradient_is_the_finite_difference():
    image, target = (x.double() for x in pair(1, 4, 5))
    image.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: ndraster.ssim(x, target, backend="reference"), image)


def test_agrees_with_torchmetrics_inside():
    """torchmetrics pads by reflection; where no window leaves the image both are the same."""
    functional = pytest.importorskip("torchmetrics.functional.image")
    image, target = (x[None].double() for x in pair(3, 48, 40))
    measure = functional.structural_similarity_index_measure
    _, theirs = measure(image, target, sigma=1.5, kernel_size=WINDOW, data_range=1.0, return_full_image=True)
    inside = (..., slice(WINDOW // 2, -(WINDOW // 2)), slice(WINDOW // 2, -(WINDOW // 2)))
    assert torch.allclose(ssim_map(image, target)[inside], theirs[inside], atol=1e-9)


@pytest.mark.parametrize("shapes", [((3, 8, 8), (3, 8, 9)), ((8, 8), (8, 8))])
def test_wrong_shapes_are_named(shapes):
    with pytest.raises(ndraster.ShapeError, match=str(list(shapes[0])).replace("[", r"\[")):
        ndraster.ssim(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
