"""Structural similarity (Wang et al. 2004) with the window of 3DGS: 11x11 Gaussian, sigma 1.5, zero padding."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ndraster.backends import available_backends, load
from ndraster.types import ShapeError

WINDOW = 11
SIGMA_PX = 1.5
C1 = 0.01**2
C2 = 0.03**2


def ssim(image: Tensor, target: Tensor, backend: str = "auto") -> Tensor:
    """Mean SSIM (scalar) of images [3, H, W] or [B, C, H, W] in [0, 1]; differentiable in `image`, not in `target`.

    backend: auto (fused kernels for float32 where there are any), cuda, cpu or reference.
    """
    if image.shape != target.shape or image.dim() not in (3, 4):
        raise ShapeError(f"images are {list(image.shape)} and {list(target.shape)}; expected two equal [C, H, W]")
    image, target = (x if x.dim() == 4 else x[None] for x in (image, target))
    name = backend
    if backend == "auto":
        name = image.device.type if image.dtype == torch.float32 and _is_fused(image.device.type) else "reference"
    if name == "reference":
        return ssim_map(image, target.detach()).mean()
    load(name)
    return _FusedSsim.apply(image, target.detach(), name)


@cache
def _is_fused(device_type: str) -> bool:
    """Whether there are fused kernels for a kind of device; asked once, as looking for tools touches the disk."""
    return device_type in available_backends()


def ssim_map(image: Tensor, target: Tensor) -> Tensor:
    """SSIM per pixel and channel [B, C, H, W], in plain PyTorch: the specification of the fused kernels."""
    channels = image.shape[1]
    axis = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    line = torch.exp(-(axis**2) / (2 * SIGMA_PX**2))
    line = (line / line.sum()).to(image)

    def blur(x: Tensor) -> Tensor:
        x = F.conv2d(x, line.expand(channels, 1, 1, -1), padding=(0, WINDOW // 2), groups=channels)
        return F.conv2d(x, line[:, None].expand(channels, 1, -1, -1), padding=(WINDOW // 2, 0), groups=channels)

    mean_1, mean_2 = blur(image), blur(target)
    var_1, var_2 = blur(image * image) - mean_1**2, blur(target * target) - mean_2**2
    covariance = blur(image * target) - mean_1 * mean_2
    top = (2 * mean_1 * mean_2 + C1) * (2 * covariance + C2)
    return top / ((mean_1**2 + mean_2**2 + C1) * (var_1 + var_2 + C2))


class _FusedSsim(torch.autograd.Function):
    """Forward stores the three partial derivatives per pixel; backward is one more separable blur of them."""

    @staticmethod
    def forward(ctx, image: Tensor, target: Tensor, name: str) -> Tensor:
        image, target = image.contiguous(), target.contiguous()
        ops = getattr(torch.ops, f"ndraster_{name}")
        mean, partials = ops.ssim_forward(image, target, ctx.needs_input_grad[0])
        ctx.save_for_backward(image, target, partials)
        ctx.ops = ops
        return mean

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        image, target, partials = ctx.saved_tensors
        return ctx.ops.ssim_backward(image, target, partials, gradient.contiguous()), None, None
