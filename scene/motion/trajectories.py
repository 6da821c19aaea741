"""Poses of persistent Gaussians at a list of moments, and between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.transforms import slerp


@dataclass(frozen=True)
class Trajectories:
    """Where N Gaussians are at T moments; row i is the same Gaussian for ever."""

    times: Tensor  # [T] float64 on the CPU, rising, 0..1
    means: Tensor  # [T, N, 3] world units
    quats_wxyz: Tensor  # [T, N, 4] any length
    colors: Tensor | None = None  # [T, N, 3] RGB, not clamped; None = those of the Gaussians as they are stored

    @property
    def num_gaussians(self) -> int:
        return self.means.shape[1]

    def at(self, time: float) -> tuple[Tensor, Tensor, Tensor | None]:
        """Means [N, 3], unit quaternions [N, 4] and colours [N, 3] at any moment in 0..1.

        Between two moments positions and colours go straight and rotations the short way round; before the first and
        after the last one everything stands still.
        """
        last = len(self.times) - 1
        after = min(int(torch.searchsorted(self.times, time)), last)
        before = max(after - 1, 0) if float(self.times[after]) > time else after
        if before == after:
            return self.pose(after)
        share = float((time - self.times[before]) / (self.times[after] - self.times[before]))
        (m0, q0, c0), (m1, q1, c1) = self.pose(before), self.pose(after)
        colors = None if c0 is None or c1 is None else torch.lerp(c0, c1, share)
        return torch.lerp(m0, m1, share), slerp(q0, q1, share), colors

    def pose(self, index: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Means, unit quaternions and colours at moment number `index`."""
        colors = None if self.colors is None else self.colors[index]
        return self.means[index], F.normalize(self.quats_wxyz[index], dim=-1), colors

    def rows(self, chosen: Tensor) -> Trajectories:
        """The trajectories of the chosen Gaussians: mask [N] or indices [M]."""
        colors = None if self.colors is None else self.colors[:, chosen]
        return Trajectories(self.times, self.means[:, chosen], self.quats_wxyz[:, chosen], colors)

    def to(self, device: torch.device | str) -> Trajectories:
        """The same on a device."""
        colors = None if self.colors is None else self.colors.to(device)
        return Trajectories(self.times, self.means.to(device), self.quats_wxyz.to(device), colors)
