"""Gaussians as samples of a Markov chain: dead ones move to where others are, and faint ones explore.

Kheradmand et al. 2024, "3D Gaussian Splatting as Markov Chain Monte Carlo", with the paper's settings. There is no
cloning by gradient, no pruning and no opacity reset: the number of Gaussians grows by a share up to a cap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from ndraster import RasterOutput
from torch import Tensor

from arguments import OptimizationParams
from scene.gaussian_model import GaussianModel
from training.parameter_surgery import RowEdit, apply_edit
from utils.errors import UserError
from utils.progress import warn
from utils.transforms import quaternion_to_matrix

DEAD_OPACITY = 0.005  # Gaussians at or below are moved, and only those near it explore
GROWTH = 0.05  # share of new Gaussians per interval
SHARPNESS = 100.0  # k of the paper's eq. 8: how suddenly the noise ends above the opacity of the dead
MAX_COPIES = 51  # that share one place
MAX_OPACITY = 1 - 1e-7
INITIAL_OPACITY, INITIAL_SIZE = 0.5, 0.1  # of the start: opaque, and a tenth as wide as for the other strategy


@dataclass(frozen=True)
class MarkovPlan:
    """Times and limits; iterations are 1-based."""

    cap: int  # Gaussians
    interval: int = 100
    start: int = 500
    stop: int = 25_000
    noise: float = 500_000.0  # times the learning rate of positions

    @classmethod
    def from_options(cls, options: OptimizationParams) -> MarkovPlan:
        """The plan that the command line asks for."""
        if options.max_gaussians < 1:
            raise UserError("--densification mcmc grows up to a number of Gaussians; expected one; add --cap_max N")
        if options.densification_interval < 1:
            raise UserError(f"--densification_interval is {options.densification_interval}; expected at least 1")
        if options.noise_lr < 0:
            raise UserError(f"--noise_lr is {options.noise_lr}; expected 0 or more")
        return cls(
            cap=options.max_gaussians,
            interval=options.densification_interval,
            start=options.densify_from_iter,
            stop=options.densify_until_iter,
            noise=options.noise_lr,
        )

    def moves_at(self, iteration: int) -> bool:
        """Whether dead Gaussians are moved, and new ones made, after this iteration."""
        return self.start < iteration < self.stop and iteration % self.interval == 0

    def room(self, num_gaussians: int) -> int:
        """How many new ones there may be now."""
        return max(0, min(self.cap, int((1 + GROWTH) * num_gaussians)) - num_gaussians)


class MarkovDensity:
    """The strategy of the paper: relocation, growth and noise. It keeps no statistics."""

    def __init__(self, plan: MarkovPlan) -> None:
        self.plan = plan
        self.version = 0  # counts replacements of the model's tensors
        self._has_warned = False

    def observes_at(self, iteration: int) -> bool:
        """Views are never looked at."""
        del iteration
        return False

    def reset_statistics(self, model: GaussianModel) -> None:
        """There are none; the model has other tensors."""
        del model
        self.version += 1

    def observe(self, output: RasterOutput, iteration: int) -> None:
        """Nothing is learnt from a view."""
        del output, iteration

    @torch.no_grad()
    def update(self, model: GaussianModel, optimizer: torch.optim.Optimizer, iteration: int) -> None:
        """Move the dead, make new ones, and let the faint explore."""
        if self.plan.moves_at(iteration):
            self._redistribute(model, optimizer, iteration)
        if self.plan.noise and model.means.requires_grad:
            model.params["xyz"].add_(exploration(model, self.plan.noise * position_rate(optimizer)))

    def stop(self) -> None:
        """From now on leave the Gaussians alone."""
        self.plan = replace(self.plan, stop=0, noise=0.0)

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing: the state of the random numbers is kept with every checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Nothing but other tensors, whatever another strategy has kept."""
        del state
        self.version += 1

    def _redistribute(self, model: GaussianModel, optimizer: torch.optim.Optimizer, iteration: int) -> None:
        opacities = model.params["opacity"][:, 0].sigmoid()
        dead = opacities <= DEAD_OPACITY
        if bool(dead.all()):
            raise UserError(
                f"every Gaussian is transparent at iteration {iteration}; expected some to stay opaque: "
                "check the images, the masks and --opacity_reg"
            )
        count = model.num_gaussians
        if count > self.plan.cap and not self._has_warned:
            self._has_warned = True
            warn(f"{count} Gaussians are more than --cap_max {self.plan.cap}; none are added")
        num_new = self.plan.room(count)
        if not num_new and not bool(dead.any()):
            return
        relocate(model, optimizer, dead, num_new)
        self.version += 1


def position_rate(optimizer: torch.optim.Optimizer) -> float:
    """The learning rate of positions, world units per step."""
    return next(group["lr"] for group in optimizer.param_groups if group["name"] == "xyz")


def exploration(model: GaussianModel, strength: float) -> Tensor:
    """Random shifts [N, 3] in the shape of each Gaussian, nearly none for those that are opaque (eq. 8).

    strength * sigmoid(-k (o - t)) * Sigma eta with eta from a normal distribution; does not wait for the device.
    """
    opacities = model.params["opacity"].sigmoid()
    rotation = quaternion_to_matrix(torch.nn.functional.normalize(model.quats_wxyz, dim=-1))
    eta = torch.randn_like(model.means)[:, :, None]
    shaped = rotation @ (model.log_scales.exp().square()[:, :, None] * (rotation.transpose(1, 2) @ eta))
    return strength * torch.sigmoid(-SHARPNESS * (opacities - DEAD_OPACITY)) * shaped[:, :, 0]


@torch.no_grad()
def relocate(model: GaussianModel, optimizer: torch.optim.Optimizer, dead: Tensor, num_new: int) -> None:
    """Put the `dead` [N] bool and `num_new` new Gaussians onto living ones, drawn by their opacity.

    All that then share a place get the opacity and the size by which they together look as the one did before; they
    start with zero moments.
    """
    opacities = model.params["opacity"][:, 0].sigmoid()
    num_dead = int(dead.sum())
    drawn = torch.multinomial(opacities * ~dead, num_dead + num_new, replacement=True)
    rows = torch.arange(len(dead), device=dead.device)
    source = torch.cat([rows.masked_scatter(dead, drawn[:num_dead]), drawn[num_dead:]])
    shared = torch.bincount(source, minlength=len(dead))  # 0 of the dead
    opacity, factor = shared_appearance(opacities, shared.clamp(1, MAX_COPIES))
    edit = RowEdit(source, (shared > 1)[source])
    moved = edit.is_new
    logits, log_scales = edit.take(model.params["opacity"]), edit.take(model.params["scaling"])
    logits[moved] = torch.logit(opacity[source][moved])[:, None]
    log_scales[moved] += factor[source][moved].log()[:, None]
    apply_edit(model.params, optimizer, edit, {"opacity": logits, "scaling": log_scales})


def shared_appearance(opacities: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """Opacity [N], and factor [N] on the standard deviations, of so many coincident copies (eq. 9).

    With o' = 1 - (1 - o)^(1/n) the copies together are as opaque in the middle as the one Gaussian, and sizes shrink by
    o / sum_i sum_k C(i-1, k) (-1)^k o'^(k+1) / sqrt(k+1), which keeps the integral along a line through the middle.
    The binomials of one k add up to C(n, k+1).

    Args:
        opacities: [N] in 0..1.
        copies: [N] int, 1 to `MAX_COPIES`.
    """
    exact = opacities.double().clamp(DEAD_OPACITY, MAX_OPACITY)
    counts = copies.double()
    shared = 1 - (1 - exact).pow(1 / counts)
    order = torch.arange(1, MAX_COPIES + 1, device=exact.device, dtype=torch.float64)
    signs = 1 - 2 * ((order - 1) % 2)
    terms = signs * _binomials(counts, order) * shared[:, None].pow(order) / order.sqrt()
    return shared.to(opacities), (exact / terms.sum(1)).to(opacities)


def _binomials(n: Tensor, k: Tensor) -> Tensor:
    """C(n, k) [N, K] of counts n [N] and k [K], 0 where k is larger."""
    n = n[:, None]
    logarithm = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma((n - k).clamp_min(0) + 1)
    return torch.where(k <= n, logarithm.exp().round(), torch.zeros_like(logarithm))
