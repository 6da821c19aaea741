"""What is asked of a scene besides its pictures: depths, and few and small Gaussians."""

from __future__ import annotations

from functools import partial

import torch
from ndraster import RasterOutput
from torch import Tensor

from arguments import OptimizationParams
from scene.gaussian_model import GaussianModel
from scene.image_store import GroundTruth
from training.losses import l1_loss
from utils.errors import UserError
from utils.schedules import exponential_rate

MCMC_WEIGHT = 0.01  # of mean opacity and mean size (Kheradmand et al. 2024)
TOLERANCE = 0.1  # of the mean inverse depth: the robust loss hardly pulls where it is wrong by more


class Priors:
    """The terms, their weights, and the schedule of the depths' weight.

    `weights` are numbers by the name of the term; that of the depths lies on the device, where a CUDA graph reads it.
    """

    def __init__(self, options: OptimizationParams, device: torch.device) -> None:
        first, last = options.depth_l1_weight_init, options.depth_l1_weight_final
        if min(first, last) < 0 or (first == 0) != (last == 0):
            raise UserError(
                f"--depth_l1_weight_init {first} and --depth_l1_weight_final {last}; expected two positive weights, or "
                "both 0"
            )
        self._depth_weight = partial(exponential_rate, start=first, end=last, max_steps=options.iterations)
        self._is_robust = options.depth_loss == "robust"
        default = MCMC_WEIGHT if options.densification == "mcmc" else 0.0
        self.weights: dict[str, float | Tensor] = {
            "depth": torch.zeros((), device=device),
            "opacity": default if options.opacity_reg is None else options.opacity_reg,
            "scale": default if options.scale_reg is None else options.scale_reg,
        }

    def prepare(self, iteration: int) -> None:
        """Before each iteration, also before a graph is replayed; does not wait for the device."""
        self.weights["depth"].fill_(self._depth_weight(iteration))

    def losses(self, output: RasterOutput, truth: GroundTruth, model: GaussianModel) -> dict[str, Tensor]:
        """The terms that count for this picture and these options, by name."""
        losses = {}
        if truth.inverse_depth is not None:
            loss = robust_depth_loss if self._is_robust else l1_loss
            losses["depth"] = loss(output.inverse_depth, truth.inverse_depth, truth.weight)
        if self.weights["opacity"]:
            losses["opacity"] = model.params["opacity"].sigmoid().mean()
        if self.weights["scale"]:
            losses["scale"] = model.params["scaling"].exp().mean()
        return losses


def robust_depth_loss(rendered: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of Geman and McClure's function of the difference of two inverse depths [1, H, W], 1/world units.

    t r^2 / (r^2 + t^2) with t a tenth of the mean target: about r^2 / t where the difference r is small, and flat
    where it is large, so that parts of a map that are wrong do not build walls there.
    """
    tolerance2 = (TOLERANCE * target.abs().mean()).square().clamp_min(1e-20)
    squared = (rendered - target).square()
    loss = tolerance2.sqrt() * squared / (squared + tolerance2)
    return (loss if weight is None else loss * weight).mean()
