"""How much a cloud bends between two moments: the losses rigid, rot and iso (Luiten et al. 2024, Dynamic 3D Gaussians).

Every row has k neighbours, chosen once; a pair's weight says how much it should hold together.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ndraster.backends import choose_backend, runs_fused
from ndraster.types import ShapeError

EPS = 1e-20  # under every root, so that slopes stay finite at zero


@dataclass(frozen=True)
class Neighbourhood:
    """F rows and the k neighbours of each: pair number i k + c goes from row i to its neighbour c."""

    indices: Tensor  # [F, k] int32, rows of the neighbours
    weights: Tensor  # [F, k] >= 0, 0 = cut
    distances: Tensor  # [F, k] at rest, world units
    incoming_offsets: Tensor  # [F + 1] int32: where the pairs that end in each row start in the next field
    incoming_pairs: Tensor  # [F k] int32, pair numbers sorted by the row they end in

    @classmethod
    def of(cls, indices: Tensor, weights: Tensor, distances: Tensor) -> Neighbourhood:
        """From rows, weights and distances of the neighbours [F, k]; lists for every row who has it as a neighbour."""
        _check_pairs(indices, weights, distances)
        targets, pairs = torch.sort(indices.reshape(-1), stable=True)
        rows = torch.arange(len(indices) + 1, device=indices.device, dtype=targets.dtype)
        offsets = torch.searchsorted(targets, rows, out_int32=True)
        return cls(indices.int(), weights, distances, offsets, pairs.int())

    def with_weights(self, weights: Tensor) -> Neighbourhood:
        """The same neighbours with other weights [F, k]; 0 cuts a pair."""
        if weights.shape != self.weights.shape:
            raise ShapeError(f"weights are {list(weights.shape)}; expected {list(self.weights.shape)}")
        return replace(self, weights=weights)

    def to(self, device: torch.device | str) -> Neighbourhood:
        """The same on a device."""
        return Neighbourhood(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def rigidity_losses(
    means: Tensor,  # [F, 3] world
    quats_wxyz: Tensor,  # [F, 4] unit
    previous_quats_wxyz: Tensor,  # [F, 4] unit, of the moment before
    previous_offsets: Tensor,  # [F, k, 3] neighbour minus row at the moment before, in world axes
    hood: Neighbourhood,
    backend: str = "auto",
) -> Tensor:
    """The losses (rigid, rot, iso) [3], each a mean over all F k pairs (Luiten et al. 2024).

    With the turn r_i = q_i conj(previous q_i), its rotation R_i, the offset o = m_j - m_i and e = 1e-20:
    rigid = sqrt(w |R_i^T o - previous o|^2 + e), rot = sqrt(w |r_j - r_i|^2 + e), iso = sqrt(w (|o| - rest)^2 + e),
    where |o| has e under its root too. (In the paper w is outside the root; its published results have it inside.)
    To rot q and -q are not the same: let quaternions go on from the moment before. Differentiable in means and
    quaternions only. Without pairs all three are 0.

    backend: auto (fused kernels for float32 where there are any), cuda, cpu or reference. The kernels keep 32 bytes a
    row, give equal bits each time and never wait for the device.
    """
    _check(means, quats_wxyz, previous_quats_wxyz, previous_offsets, hood)
    if hood.indices.numel() == 0:
        return means.new_zeros(3)
    fixed = (previous_quats_wxyz.detach(), previous_offsets.detach())
    name = backend
    if backend == "auto":
        name = means.device.type if means.dtype == torch.float32 and runs_fused(means.device.type) else "reference"
    if choose_backend(name, means) == "reference":
        return _reference(means, quats_wxyz, *fixed, hood)
    return _FusedRigidity.apply(means, quats_wxyz, *fixed, hood, name)


def _reference(
    means: Tensor, quats: Tensor, previous_quats: Tensor, previous_offsets: Tensor, hood: Neighbourhood
) -> Tensor:
    """The losses in plain PyTorch: the specification of the fused kernels."""
    shape, neighbours = hood.indices.shape, hood.indices.reshape(-1)
    turns = _product(quats, torch.cat([previous_quats[:, :1], -previous_quats[:, 1:]], dim=1))
    offsets = means.index_select(0, neighbours).view(*shape, 3) - means[:, None]
    twists = turns.index_select(0, neighbours).view(*shape, 4) - turns[:, None]
    error2 = (_rotate_back(turns[:, None], offsets) - previous_offsets).square().sum(-1)
    strain2 = ((offsets.square().sum(-1) + EPS).sqrt() - hood.distances).square()
    squares = torch.stack([error2, twists.square().sum(-1), strain2])
    return (hood.weights * squares + EPS).sqrt().mean(dim=(1, 2))


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of quaternions wxyz [..., 4]."""
    aw, av, bw, bv = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    real = aw * bw - (av * bv).sum(-1, keepdim=True)
    return torch.cat([real, aw * bv + bw * av + torch.linalg.cross(av, bv)], dim=-1)


def _rotate_back(quats: Tensor, vectors: Tensor) -> Tensor:
    """Vectors [F, k, 3] by the inverse of unit quaternions [F, 1, 4]: x + 2 v x (v x x - w x)."""
    w, v = quats[..., :1], quats[..., 1:].expand_as(vectors)
    return vectors + 2 * torch.linalg.cross(v, torch.linalg.cross(v, vectors) - w * vectors)


def _check_pairs(indices: Tensor, weights: Tensor, distances: Tensor) -> None:
    if indices.dim() != 2 or not indices.shape == weights.shape == distances.shape:
        found = ", ".join(str(list(t.shape)) for t in (indices, weights, distances))
        raise ShapeError(f"indices, weights and distances are {found}; expected three equal [F, k]")
    if indices.numel() and not (indices.min() >= 0 and indices.max() < len(indices)):
        extremes = f"{indices.min().item()} to {indices.max().item()}"
        raise ShapeError(f"indices of neighbours go from {extremes}; expected 0 to {len(indices) - 1}")
    if indices.numel() and not (weights.min() >= 0):
        raise ShapeError(f"the smallest weight of a pair is {weights.min().item()}; expected 0 (cut) or more")


def _check(means: Tensor, quats: Tensor, previous_quats: Tensor, previous_offsets: Tensor, hood: Neighbourhood) -> None:
    count, width = hood.indices.shape
    found = [tuple(t.shape) for t in (means, quats, previous_quats, previous_offsets)]
    expected = [(count, 3), (count, 4), (count, 4), (count, width, 3)]
    if found != expected:
        raise ShapeError(f"means, quaternions, those before and offsets before are {found}; expected {expected}")
    kinds = {
        (t.dtype, t.device) for t in (means, quats, previous_quats, previous_offsets, hood.weights, hood.distances)
    }
    if len(kinds) > 1 or hood.indices.device != means.device:
        raise ShapeError(
            f"tensors are {sorted(map(str, kinds))} with indices on {hood.indices.device}; expected one kind"
        )


class _FusedRigidity(torch.autograd.Function):
    """Forward keeps a mean and a turn a row; backward recomputes the pairs, each from both of its ends."""

    @staticmethod
    def forward(
        ctx,
        means: Tensor,
        quats: Tensor,
        previous_quats: Tensor,
        previous_offsets: Tensor,
        hood: Neighbourhood,
        name: str,
    ) -> Tensor:
        tensors = (previous_quats, previous_offsets, hood.indices, hood.weights.detach(), hood.distances.detach())
        graph = [t.contiguous() for t in tensors]
        ctx.ops = getattr(torch.ops, f"ndraster_{name}")
        losses, kept = ctx.ops.rigidity_forward(means.contiguous(), quats.contiguous(), *graph)
        ctx.save_for_backward(kept, *graph, hood.incoming_offsets, hood.incoming_pairs)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        slopes = ctx.ops.rigidity_backward(*ctx.saved_tensors, gradient.contiguous())
        return *slopes, None, None, None, None
