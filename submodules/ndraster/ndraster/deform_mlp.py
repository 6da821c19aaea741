"""The network of Deformable 3DGS (Yang et al. 2024): eight layers of 256 on a point's frequency code, in one launch.

All rows share one moment, so that what the layers see of the time is part of their biases.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ndraster.backends import runs_fused
from ndraster.types import ShapeError

WIDTH, LAYERS = 256, 8
SKIP = 5  # the layer that sees the code again
FREQUENCIES = 10
CODE = 3 + 6 * FREQUENCIES
MAX_OUTPUTS = 16


@dataclass(frozen=True)
class DeformWeights:
    """Weights as torch.nn.Linear has them, [outputs, inputs]; the time's share is in the biases."""

    first: Tensor  # [256, 63]
    hidden: tuple[Tensor, ...]  # 7 of [256, 256], layers 1 to 7
    skip: Tensor  # [256, 63] what layer 5 also sees
    biases: tuple[Tensor, ...]  # 8 of [256]
    head: Tensor  # [K, 256], K at most 16
    head_bias: Tensor  # [K]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them, in the order of the fields."""
        return (self.first, *self.hidden, self.skip, *self.biases, self.head, self.head_bias)


def has_deform_mlp(tensor: Tensor) -> bool:
    """Whether tensors like this one get the fused kernels: float32 on CUDA with matrix units for bfloat16 (sm_80)."""
    if not (tensor.is_cuda and tensor.dtype == torch.float32 and runs_fused("cuda")):
        return False
    return torch.cuda.get_device_capability(tensor.device) >= (8, 0)


def deform_mlp(points: Tensor, weights: DeformWeights) -> Tensor:
    """Outputs [N, K] of points [N, 3], through which no gradient flows; all weights get theirs.

    float32 on CUDA: half-precision operands (float16 forward, bfloat16 backward) and float sums, without waiting for
    the device. With gradients 4.5 kB a point are kept, and the backward pass takes another 4.1 kB. Else plain PyTorch
    in the type of the weights: the specification.
    """
    _check(points, weights)
    points = points.detach()
    if len(points) == 0 or not has_deform_mlp(points):
        return _reference(points, weights)
    if torch.is_grad_enabled() and any(t.requires_grad for t in weights.tensors):
        return _FusedDeformation.apply(points, *weights.tensors)
    return torch.ops.ndraster_cuda.deform_mlp_forward(points, weights.tensors, False)[0]


def frequency_code(values: Tensor, frequencies: int = FREQUENCIES) -> Tensor:
    """[N, C (1 + 2 frequencies)]: values v [N, C], then sin(2^k v) and cos(2^k v) of all of them for k = 0, 1, ...

    (Mildenhall et al. 2020, eq. 4, without the factor pi.)
    """
    powers = torch.arange(frequencies, device=values.device, dtype=values.dtype).exp2()
    angles = values[:, None, :] * powers[:, None]  # [N, F, C]
    return torch.cat([values, torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)], dim=1)


def _reference(points: Tensor, weights: DeformWeights) -> Tensor:
    """The network in plain PyTorch."""
    code = frequency_code(points.to(weights.first))
    hidden = torch.relu(F.linear(code, weights.first, weights.biases[0]))
    for layer, (weight, bias) in enumerate(zip(weights.hidden, weights.biases[1:], strict=True), start=1):
        entering = F.linear(hidden, weight, bias)
        hidden = torch.relu(entering + F.linear(code, weights.skip) if layer == SKIP else entering)
    return F.linear(hidden, weights.head, weights.head_bias)


def _check(points: Tensor, weights: DeformWeights) -> None:
    if points.dim() != 2 or points.shape[1] != 3:
        raise ShapeError(f"points are {list(points.shape)}; expected [N, 3]")
    outputs = len(weights.head)
    shapes = [(WIDTH, CODE), *[(WIDTH, WIDTH)] * (LAYERS - 1), (WIDTH, CODE), *[(WIDTH,)] * LAYERS]
    shapes += [(outputs, WIDTH), (outputs,)]
    found = [tuple(t.shape) for t in weights.tensors]
    if found != shapes:
        raise ShapeError(f"weights of the deformation network are {found}; expected {shapes}")
    if outputs > MAX_OUTPUTS:
        raise ShapeError(f"the deformation network has {outputs} outputs; expected at most {MAX_OUTPUTS}")


class _FusedDeformation(torch.autograd.Function):
    """Forward keeps the layers; backward runs through them and multiplies over all rows for the weights."""

    @staticmethod
    def forward(ctx, points: Tensor, *tensors: Tensor) -> Tensor:
        out, kept = torch.ops.ndraster_cuda.deform_mlp_forward(points, tensors, True)
        ctx.save_for_backward(*kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, *torch.ops.ndraster_cuda.deform_mlp_backward(gradient, ctx.saved_tensors)
