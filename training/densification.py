"""When and where Gaussians are cloned, split, pruned and faded: adaptive density control (Kerbl et al. 2023, 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import ndraster
import torch
from ndraster import RasterOutput
from torch import Tensor

from arguments import OptimizationParams
from scene.gaussian_model import GaussianModel
from training.parameter_surgery import RowEdit, apply_edit, grow_edit, sample_children, zero_moments
from utils.errors import UserError
from utils.progress import warn

MIN_OPACITY = 0.005  # Gaussians below are pruned
RESET_OPACITY = 0.01  # ceiling at an opacity reset
MAX_RELATIVE_SCALE = 0.1  # of the scene extent; larger ones are pruned after the first opacity reset
MAX_SCREEN_RADIUS_PX = 20  # for --prune_screen_size
NUM_CHILDREN = 2  # of a split
SPLIT_SHRINK = 0.8 * NUM_CHILDREN  # children's scales are divided by this


@dataclass(frozen=True)
class DensificationPlan:
    """Thresholds and times of adaptive density control; iterations are 1-based."""

    extent: float  # world units, radius of the camera rig
    grad_threshold: float = 0.0002  # mean screen gradient in normalised device units
    percent_dense: float = 0.01  # of `extent`; larger Gaussians are split, smaller ones cloned
    interval: int = 100
    start: int = 500
    stop: int = 15_000
    reset_interval: int = 3000
    reset_at_start: bool = False  # also reset once at `start` (white backgrounds)
    max_gaussians: int = 0  # 0 = no cap
    absgrad: bool = False  # use sums of absolute pixel gradients (AbsGS)
    prune_screen_size: bool = False  # also prune what covers more than 20 px

    @classmethod
    def from_options(cls, options: OptimizationParams, extent: float, white_background: bool) -> DensificationPlan:
        """The plan that the command line asks for."""
        for name in ("densification_interval", "opacity_reset_interval"):
            if getattr(options, name) < 1:
                raise UserError(f"--{name} is {getattr(options, name)}; expected at least 1")
        return cls(
            extent=extent,
            grad_threshold=options.densify_grad_threshold,
            percent_dense=options.percent_dense,
            interval=options.densification_interval,
            start=options.densify_from_iter,
            stop=options.densify_until_iter,
            reset_interval=options.opacity_reset_interval,
            reset_at_start=white_background,
            max_gaussians=options.max_gaussians,
            absgrad=options.absgrad,
            prune_screen_size=options.prune_screen_size,
        )

    def densifies_at(self, iteration: int) -> bool:
        """Whether Gaussians are added and pruned after this iteration."""
        return self.start < iteration < self.stop and iteration % self.interval == 0

    def resets_at(self, iteration: int) -> bool:
        """Whether opacities are lowered after this iteration."""
        at_start = self.reset_at_start and iteration == self.start
        return iteration < self.stop and (iteration % self.reset_interval == 0 or at_start)

    def observes_at(self, iteration: int) -> bool:
        """Whether the views of this iteration count."""
        return iteration < self.stop

    def prunes_large_at(self, iteration: int) -> bool:
        """Whether size counts when pruning: only once opacities have been reset."""
        return iteration > self.reset_interval


@dataclass
class AdaptiveDensity:
    """Running statistics of the screen gradients, and the edits of model and optimizer that follow from them.

    Call `observe` after every backward pass and `update` after the optimizer's step. (The step comes first so that a
    densifying iteration keeps its update; graphdeco's order loses it, because fresh tensors have no gradient.)
    """

    plan: DensificationPlan
    gradient_sum: Tensor = field(default_factory=lambda: torch.zeros(0))  # [N]
    num_seen: Tensor = field(default_factory=lambda: torch.zeros(0))  # [N]
    max_radii_px: Tensor = field(default_factory=lambda: torch.zeros(0))  # [N]
    version: int = 0  # counts replacements of tensors, here and in the model
    _has_warned: bool = False

    def observes_at(self, iteration: int) -> bool:
        """Whether the views of this iteration count."""
        return self.plan.observes_at(iteration)

    def stop(self) -> None:
        """From now on leave the Gaussians alone."""
        self.plan = replace(self.plan, stop=0)

    def reset_statistics(self, model: GaussianModel) -> None:
        """Forget everything observed; sizes follow the model."""
        zeros = torch.zeros(model.num_gaussians, device=model.device)
        self.gradient_sum, self.num_seen, self.max_radii_px = zeros, zeros.clone(), zeros.clone()
        self.version += 1

    @torch.no_grad()
    def observe(self, output: RasterOutput, iteration: int) -> None:
        """Add one rendered view, after its backward pass. No host synchronisation, no indexing."""
        gradient = output.screen_probe.grad
        if not self.plan.observes_at(iteration) or gradient is None:
            return
        height, width = output.color.shape[-2:]
        units = (0.5 * width, 0.5 * height)  # px per normalised device unit, to which the threshold refers
        sums = (self.gradient_sum, self.num_seen)
        ndraster.add_screen_gradients(gradient, output.radii, units, self.plan.absgrad, *sums)
        if self.plan.prune_screen_size:
            torch.maximum(self.max_radii_px, output.radii, out=self.max_radii_px)

    @torch.no_grad()
    def update(self, model: GaussianModel, optimizer: torch.optim.Optimizer, iteration: int) -> None:
        """Densify, prune and reset opacities if it is time."""
        if self.plan.densifies_at(iteration):
            self._densify_and_prune(model, optimizer, iteration)
        if self.plan.resets_at(iteration):
            reset_opacities(model, optimizer)

    def state_dict(self) -> dict[str, Tensor]:
        """The running statistics, each [N]."""
        return {"gradient_sum": self.gradient_sum, "num_seen": self.num_seen, "max_radii_px": self.max_radii_px}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what `state_dict` gave, on this strategy's device; of another strategy there is nothing."""
        for name in ("gradient_sum", "num_seen", "max_radii_px") if state else ():
            setattr(self, name, state[name].to(getattr(self, name)).clone())
        self.version += 1

    def _densify_and_prune(self, model: GaussianModel, optimizer: torch.optim.Optimizer, iteration: int) -> None:
        clone, split = self._choose(model)
        edit = grow_edit(model.num_gaussians, clone, split, NUM_CHILDREN)
        means, log_scales = edit.take(model.params["xyz"]), edit.take(model.params["scaling"])
        num_children = NUM_CHILDREN * int(split.sum())
        if num_children:
            children = slice(len(edit) - num_children, None)
            quats = edit.take(model.params["rotation"])[children]
            moved = sample_children(means[children], log_scales[children], quats, SPLIT_SHRINK)
            means[children], log_scales[children] = moved
        kept = ~self._expendable(model, edit, log_scales, iteration)
        if not bool(kept.any()):
            raise UserError(
                f"every Gaussian was pruned at iteration {iteration}; expected some to stay opaque: "
                "check the images, the masks and the learning rates"
            )
        replaced = {"xyz": means[kept], "scaling": log_scales[kept]}
        apply_edit(model.params, optimizer, edit.keep(kept), replaced)
        self.reset_statistics(model)

    def _choose(self, model: GaussianModel) -> tuple[Tensor, Tensor]:
        """Masks [N] of what to clone and what to split."""
        gradient = self.gradient_sum / self.num_seen.clamp_min(1)
        grows = gradient >= self.plan.grad_threshold
        if self.plan.max_gaussians:
            grows &= self._within_budget(model, gradient, grows)
        is_large = model.params["scaling"].exp().amax(1) > self.plan.percent_dense * self.plan.extent
        return grows & ~is_large, grows & is_large

    def _within_budget(self, model: GaussianModel, gradient: Tensor, grows: Tensor) -> Tensor:
        """Mask [N] of the steepest candidates that still fit under the cap; each one adds a single Gaussian."""
        grows = grows & ~_is_transparent(model.params["opacity"])
        room = max(self.plan.max_gaussians - model.num_gaussians, 0)
        if not room and not self._has_warned:
            self._has_warned = True
            warn(
                f"--max_gaussians {self.plan.max_gaussians} is reached, no more are added; if that is too few, raise "
                "it; if it came early, look for poor poses or raise --densify_grad_threshold"
            )
        ranking = torch.where(grows, gradient, torch.full_like(gradient, -1.0))
        chosen = torch.topk(ranking, min(room, len(ranking))).indices
        return torch.zeros_like(grows).index_fill_(0, chosen, True) & grows

    def _expendable(self, model: GaussianModel, edit: RowEdit, log_scales: Tensor, iteration: int) -> Tensor:
        """Mask [M] of the new rows to prune: nearly transparent, or too large."""
        expendable = _is_transparent(edit.take(model.params["opacity"]))
        if self.plan.prunes_large_at(iteration):
            expendable |= log_scales.exp().amax(1) > MAX_RELATIVE_SCALE * self.plan.extent
            if self.plan.prune_screen_size:
                expendable |= edit.take_fresh(self.max_radii_px) > MAX_SCREEN_RADIUS_PX
        return expendable


@torch.no_grad()
def reset_opacities(model: GaussianModel, optimizer: torch.optim.Optimizer) -> None:
    """Lower every opacity to at most 0.01 and forget the moments of that group (static_3dgs 5.6)."""
    logits = model.params["opacity"]
    logits.clamp_(max=_logit(RESET_OPACITY))
    zero_moments(optimizer, logits)


def _is_transparent(logits: Tensor) -> Tensor:
    """Mask [N] of opacity logits [N, 1] below the pruning threshold."""
    return logits.detach()[:, 0] < _logit(MIN_OPACITY)


def _logit(opacity: float) -> float:
    return math.log(opacity / (1.0 - opacity))
