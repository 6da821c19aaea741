"""Adam on the GPU in one launch for all tensors; for optimizers to build on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ndraster.backends import runs_fused


def has_adam(parameter: Tensor) -> bool:
    """Whether `adam_step` serves parameters like this one: float32 on CUDA, with the CUDA backend at hand."""
    return parameter.is_cuda and parameter.dtype == torch.float32 and runs_fused("cuda")


@torch.no_grad()
def adam_step(
    parameters: Sequence[Tensor],  # changed
    gradients: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],  # changed
    exp_avg_sqs: Sequence[Tensor],  # changed
    steps: Sequence[Tensor],  # one number each on the GPU, counted up; empty: no bias correction
    rates: Sequence[Tensor],  # one number each on the GPU
    radii: Tensor | None = None,  # [N] int32: rows of Gaussians with 0 stay as they are
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> None:
    """One update as by torch.optim.Adam (Kingma and Ba 2015), in place and without waiting for the device."""
    gradients = [g.contiguous() for g in gradients]
    lists = (list(parameters), gradients, list(exp_avgs), list(exp_avg_sqs), list(steps), list(rates))
    torch.ops.ndraster_cuda.adam(*lists, radii, *betas, eps)
