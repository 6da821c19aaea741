"""Where a motion's unit ball lies in the world."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Placement:
    """A ball around the scene: networks see points in its units, so that they work at any scale."""

    center: Tensor  # [3] world units, on the device
    radius: float  # world units

    def into(self, points: Tensor) -> Tensor:
        """World points [..., 3] in units of the ball."""
        return (points - self.center) / self.radius

    def out_of(self, points: Tensor) -> Tensor:
        """Points [..., 3] of the unit ball in the world."""
        return points * self.radius + self.center
