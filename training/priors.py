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
TOLERANCES = (1.0, 0.1)  # of the mean inverse depth, first and last: the robust loss hardly pulls beyond
TOLERANCE_SHARE = 0.2  # of the steps, over which it falls: at first everything may be far from where it belongs


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
        first, last = TOLERANCES
        steps = round(TOLERANCE_SHARE * options.iterations)
        self._tolerance_at = partial(exponential_rate, start=first, end=last, max_steps=steps)
        self._tolerance = torch.ones((), device=device)
        default = MCMC_WEIGHT if options.densification == "mcmc" else 0.0
        self.weights: dict[str, float | Tensor] = {
            "depth": torch.zeros((), device=device),
            "opacity": default if options.opacity_reg is None else options.opacity_reg,
            "scale": default if options.scale_reg is None else options.scale_reg,
        }

    def prepare(self, iteration: int) -> None:
        """Before each iteration, also before a graph is replayed; does not wait for the device."""
        self.weights["depth"].fill_(self._depth_weight(iteration))
        self._tolerance.fill_(self._tolerance_at(iteration))

    def losses(self, output: RasterOutput, truth: GroundTruth, model: GaussianModel) -> dict[str, Tensor]:
        """The terms that count for this picture and these options, by name."""
        losses = {}
        if truth.inverse_depth is not None:
            maps = (output.inverse_depth, truth.inverse_depth, truth.weight)
            losses["depth"] = robust_depth_loss(*maps, self._tolerance) if self._is_robust else l1_loss(*maps)
        if self.weights["opacity"]:
            losses["opacity"] = model.params["opacity"].sigmoid().mean()
        if self.weights["scale"]:
            losses["scale"] = model.params["scaling"].exp().mean()
        return losses


def robust_depth_loss(
    rendered: Tensor, target: Tensor, weight: Tensor | None = None, tolerance: Tensor | float = TOLERANCES[1]
) -> Tensor:
    """Mean of a saturating function of the difference of two inverse depths [1, H, W], 1/world units.

    t |r| / (|r| + t) with t = `tolerance` times the mean target, in the manner of Geman and McClure: as the absolute
    difference |r| where that is small, and flat where it is large, so that parts of a map that are wrong need not
    build walls there.
    """
    limit = (tolerance * target.abs().mean()).clamp_min(1e-10)
    difference = (rendered - target).abs()
    loss = limit * difference / (difference + limit)
    return (loss if weight is None else loss * weight).mean()
