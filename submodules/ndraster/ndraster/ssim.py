"""Structural similarity (Wang et al. 2004) with the window of 3DGS: 11x11 Gaussian, sigma 1.5, zero padding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ndraster.backends import load, runs_fused
from ndraster.types import ShapeError

WINDOW = 11
SIGMA_PX = 1.5
C1 = 0.01**2
C2 = 0.03**2


def ssim(image: Tensor, target: Tensor, backend: str = "auto") -> Tensor:
    """Mean SSIM (scalar) of images [3, H, W] or [B, C, H, W] in [0, 1]; differentiable in `image`, not in `target`.

    backend: auto (fused kernels for float32 where there are any), cuda, cpu or reference.
    """
    _check_pair(image, target)
    image, target = (x if x.dim() == 4 else x[None] for x in (image, target))
    name = backend
    if backend == "auto":
        name = image.device.type if image.dtype == torch.float32 and runs_fused(image.device.type) else "reference"
    if name == "reference":
        return ssim_map(image, target.detach()).mean()
    load(name)
    return _FusedSsim.apply(image, target.detach(), name)


def photometric_loss(image: Tensor, target: Tensor, dssim_weight: float, backend: str = "auto") -> Tensor:
    """(1 - w) * mean |image - target| + w * (1 - SSIM) of images [3, H, W]; differentiable in `image` (3DGS, eq. 7).

    One launch forward and one backward on CUDA in float32; see `ssim` for `backend`.
    """
    _check_pair(image, target)
    on_cuda = image.is_cuda and image.dtype == torch.float32 and backend in ("auto", "cuda")
    if on_cuda and runs_fused("cuda"):
        pair = (x if x.dim() == 4 else x[None] for x in (image, target.detach()))
        return _FusedPhotometric.apply(*pair, dssim_weight)
    difference = (image - target).abs().mean()
    return (1.0 - dssim_weight) * difference + dssim_weight * (1.0 - ssim(image, target, backend))


def _check_pair(image: Tensor, target: Tensor) -> None:
    if image.shape != target.shape or image.dim() not in (3, 4):
        raise ShapeError(f"images are {list(image.shape)} and {list(target.shape)}; expected two equal [C, H, W]")


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


class _FusedPhotometric(torch.autograd.Function):
    """As `_FusedSsim`, with the absolute difference in the same passes."""

    @staticmethod
    def forward(ctx, image: Tensor, target: Tensor, dssim_weight: float) -> Tensor:
        image, target = image.contiguous(), target.contiguous()
        operators = torch.ops.ndraster_cuda
        loss, partials = operators.photometric_forward(image, target, dssim_weight, ctx.needs_input_grad[0])
        ctx.save_for_backward(image, target, partials)
        ctx.dssim_weight = dssim_weight
        return loss

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        saved, operators = ctx.saved_tensors, torch.ops.ndraster_cuda
        return operators.photometric_backward(*saved, gradient.contiguous(), ctx.dssim_weight), None, None
