"""From one moment to the next in small whole numbers: how tracked Gaussians are stored compactly.

What is stored is the step from the pose as it will be read to the pose that is meant, so that rounding does not add up:
at every moment a position is at most half a `spacing`, a colour 1/1024 and a rotation about 0.1 degrees off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from utils.transforms import quaternion_multiply

COLOR_STEP = 1 / 512
TURN_STEP = 1 / 512  # rad
BOX_STEPS = 65536
MAX_STEP = 1 << 29  # whole numbers stay within 32 bits


@dataclass(frozen=True)
class Pose:
    """N Gaussians at one moment, float32 on the CPU."""

    means: Tensor  # [N, 3] world units
    quats_wxyz: Tensor  # [N, 4] any length
    colors: Tensor | None = None  # [N, 3] RGB

    def __len__(self) -> int:
        return len(self.means)

    def named(self) -> dict[str, Tensor]:
        """The values by name, without an absent one."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def rows(self, chosen: Tensor | slice) -> Pose:
        """Some of the Gaussians: mask [N], indices [M] or a slice."""
        return Pose(**{name: value[chosen] for name, value in self.named().items()})

    def replaced(self, chosen: Tensor, values: Pose) -> Pose:
        """The same with other values of the chosen Gaussians."""
        changed = {name: value.clone() for name, value in self.named().items()}
        for name, value in values.named().items():
            changed[name][chosen] = value
        return Pose(**changed)

    def followed_by(self, others: Pose) -> Pose:
        """These Gaussians and then others."""
        more = others.named()
        return Pose(**{name: torch.cat([value, more[name]]) for name, value in self.named().items()})


@dataclass(frozen=True)
class Step:
    """What happens to M Gaussians from one moment to the next, in whole numbers (int32)."""

    means: Tensor  # [M, 3] in units of the spacing
    quats_wxyz: Tensor  # [M, 3] rotation vectors, in units of TURN_STEP
    colors: Tensor | None = None  # [M, 3] in units of COLOR_STEP

    def named(self) -> dict[str, Tensor]:
        """The numbers by name, without absent ones."""
        return {name: value for name, value in vars(self).items() if value is not None}


def spacing_of(means: Tensor, moving: Tensor) -> float:
    """World units of one position step: 1/65536 of the longest edge of the box around what moves.

    The outermost hundredth at either end does not count, so that one stray Gaussian costs no precision.
    """
    for rows in (means[moving], means):
        if len(rows):
            low, high = np.percentile(rows.numpy(), (1, 99), axis=0)
            if (edge := float((high - low).max())) > 0:
                return edge / BOX_STEPS
    return 1 / BOX_STEPS


def step_between(before: Pose, after: Pose, spacing: float) -> Step:
    """The step that `stepped` undoes; rotations go the short way round."""
    means = _whole(after.means - before.means, spacing)
    inverse = _unit(before.quats_wxyz) * torch.tensor([1.0, -1.0, -1.0, -1.0])
    turns = rotation_vectors(quaternion_multiply(_unit(after.quats_wxyz), inverse))
    colored = before.colors is not None and after.colors is not None
    colors = _whole(after.colors - before.colors, COLOR_STEP) if colored else None
    return Step(means, _whole(turns, TURN_STEP), colors)


def stepped(before: Pose, step: Step, spacing: float) -> Pose:
    """The pose after a step. Quaternions become unit ones that change continuously, without flips of sign."""
    turns = quaternions(step.quats_wxyz * TURN_STEP)
    quats = _unit(quaternion_multiply(turns, _unit(before.quats_wxyz)))
    colored = before.colors is not None and step.colors is not None
    colors = before.colors + step.colors * COLOR_STEP if colored else None
    return Pose(before.means + step.means * spacing, quats, colors)


def rotation_vectors(quats_wxyz: Tensor) -> Tensor:
    """Unit quaternions [M, 4] as axis times angle [M, 3], at most pi rad long."""
    quats = torch.where(quats_wxyz[:, :1] < 0, -quats_wxyz, quats_wxyz)
    sine = quats[:, 1:].norm(dim=1, keepdim=True)
    angle = 2 * torch.atan2(sine, quats[:, :1])
    return quats[:, 1:] * torch.where(sine > 0, angle / sine.clamp_min(1e-30), 2.0)


def quaternions(vectors: Tensor) -> Tensor:
    """Rotation vectors [M, 3] in rad as unit quaternions [M, 4]; inverse of `rotation_vectors`."""
    half = vectors.norm(dim=1, keepdim=True) / 2
    return torch.cat([half.cos(), torch.sinc(half / torch.pi) * vectors / 2], dim=1)


def pack(numbers: Tensor) -> np.ndarray:
    """Whole numbers [M, 3] int32 as bytes [P, 3, M], which compress well where the numbers are small.

    Small ones of either sign become small ones without sign; then all lowest bytes come first, all highest last.
    """
    signed = numbers.numpy().astype(np.int32)
    plain = ((signed << 1) ^ (signed >> 31)).view(np.uint32)
    width = max(1, (int(plain.max(initial=0)).bit_length() + 7) // 8)
    planes = [(plain.T >> np.uint32(8 * index)) & np.uint32(255) for index in range(width)]
    return np.stack(planes).astype(np.uint8)


def unpack(planes: np.ndarray) -> Tensor:
    """Inverse of `pack`; planes [P, 3, M] uint8 with P up to 4."""
    plain = np.zeros(planes.shape[1:], np.uint32)
    for index, plane in enumerate(planes):
        plain |= plane.astype(np.uint32) << np.uint32(8 * index)
    signed = (plain >> np.uint32(1)).astype(np.int32) ^ -(plain & np.uint32(1)).astype(np.int32)
    return torch.from_numpy(np.ascontiguousarray(signed.T))


def _whole(values: Tensor, unit: float) -> Tensor:
    return (values.double() / unit).round().clamp(-MAX_STEP, MAX_STEP).int()


def _unit(quats_wxyz: Tensor) -> Tensor:
    return torch.nn.functional.normalize(quats_wxyz, dim=1)
