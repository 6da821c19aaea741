"""From what a model stores to what the rasterizer takes, and the running sums of screen gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ndraster.backends import runs_fused
from ndraster.types import Gaussians


def activate(
    means: Tensor,  # [N, 3] world
    rotations: Tensor,  # [N, 4] quaternions wxyz of any length
    log_scales: Tensor,  # [N, 3]
    logits: Tensor,  # [N, 1] of opacities
    sh_dc: Tensor,  # [N, 1, 3]
    sh_rest: Tensor,  # [N, K - 1, 3]
    features: Tensor | None = None,  # [N, D] passed on
) -> Gaussians:
    """Unit quaternions, exp of the scales and sigmoid of the opacities; the colours are passed on.

    One launch forward and one backward on CUDA in float32; plain torch elsewhere.
    """
    stored = (rotations, log_scales, logits)
    fused = means.is_cuda and all(t.dtype == torch.float32 for t in stored) and runs_fused("cuda")
    quats, scales, opacities = _Activate.apply(*stored) if fused else _activate(*stored)
    return Gaussians(means, quats, scales, opacities, sh=sh_dc, sh_rest=sh_rest, features=features)


def add_screen_gradients(
    probe: Tensor,  # [N, 4] gradient of a screen probe, per px
    radii: Tensor,  # [N] int32, 0: not seen
    pixels_per_unit: tuple[float, float],  # factors of the x and y gradients
    absolute: bool,  # the sums of absolute values instead of the signed ones
    gradient_sum: Tensor,  # [N] added to: length of the scaled gradient
    num_seen: Tensor,  # [N] added to: 1 where seen
) -> None:
    """Add one view to the statistics of densification, in place."""
    scale_x, scale_y = pixels_per_unit
    if probe.is_cuda and runs_fused("cuda"):
        torch.ops.ndraster_cuda.observe(probe, radii, absolute, scale_x, scale_y, gradient_sum, num_seen)
        return
    pixel_gradient = probe[:, 2:] if absolute else probe[:, :2]
    # unseen Gaussians have no gradient, so only the count needs to know them
    gradient_sum += torch.linalg.vector_norm(pixel_gradient * probe.new_tensor([scale_x, scale_y]), dim=1)
    num_seen += radii > 0


def _activate(rotations: Tensor, log_scales: Tensor, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return F.normalize(rotations, dim=-1), log_scales.exp(), logits.squeeze(-1).sigmoid()


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *stored: Tensor):
        stored = tuple(t.detach().contiguous() for t in stored)
        quats, scales, opacities = torch.ops.ndraster_cuda.activate(*stored)
        ctx.save_for_backward(stored[0], scales, opacities)
        return quats, scales, opacities

    @staticmethod
    def backward(ctx, *gradients: Tensor):
        gradients = (g.contiguous() for g in gradients)
        return torch.ops.ndraster_cuda.activate_backward(*ctx.saved_tensors, *gradients)
