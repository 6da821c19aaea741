"""What the loop asks of a densification strategy; it never asks which one it is."""

from __future__ import annotations

from typing import Protocol

import torch
from ndraster import RasterOutput
from torch import Tensor

from arguments import OptimizationParams
from scene.gaussian_model import GaussianModel
from training.densification import AdaptiveDensity, DensificationPlan
from training.mcmc import MarkovDensity, MarkovPlan


class Strategy(Protocol):
    """Adds, moves and removes Gaussians while they are trained; owns its thresholds and its running statistics."""

    version: int
    """Counts replacements of tensors, here and in the model: a captured iteration is valid for one of them."""

    def observes_at(self, iteration: int) -> bool:
        """Whether the views of this iteration count."""

    def reset_statistics(self, model: GaussianModel) -> None:
        """Forget everything observed; sizes follow the model."""

    def observe(self, output: RasterOutput, iteration: int) -> None:
        """Add one rendered view, after its backward pass, as part of a captured iteration."""

    def update(self, model: GaussianModel, optimizer: torch.optim.Optimizer, iteration: int) -> None:
        """Change the Gaussians if it is time; after the optimizer's step, and outside of captured iterations."""

    def stop(self) -> None:
        """From now on leave the Gaussians alone."""

    def state_dict(self) -> dict[str, Tensor]:
        """The running statistics."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what `state_dict` gave."""


def make_strategy(options: OptimizationParams, extent: float, white_background: bool) -> Strategy:
    """The strategy that `--densification` names."""
    if options.densification == "mcmc":
        return MarkovDensity(MarkovPlan.from_options(options))
    return AdaptiveDensity(DensificationPlan.from_options(options, extent, white_background))
