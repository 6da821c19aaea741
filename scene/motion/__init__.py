"""How Gaussians move: one file = one kind of motion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import ndraster
from torch import Tensor

from utils.registry import Registry

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel

MOTIONS = Registry("motion")


class Motion(Protocol):
    """What the training loop asks of a motion; it never asks which kind it is."""

    is_capturable: bool
    """Whether every iteration is the same sequence of launches, whatever the time (for CUDA graphs)."""

    def at(self, model: GaussianModel, time: float) -> ndraster.Gaussians:
        """Activated Gaussians at a moment in 0..1."""

    def parameter_groups(self) -> list[dict[str, object]]:
        """Optimizer groups of the motion's own parameters."""

    def losses(self, model: GaussianModel, time: float) -> dict[str, Tensor]:
        """Scalar regularisers by name."""

    def on_iteration(self, iteration: int) -> None:
        """Called once before each iteration."""


def make_motion(name: str) -> Motion:
    """A new motion of the kind called `name`; unknown names list the kinds."""
    MOTIONS.discover("scene.motion")
    return MOTIONS.get(name)()
