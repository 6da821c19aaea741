"""Removal of Gaussians that never learn, as those that frozen layers hide: the inactive purge of Multi-Layer 3DGS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scene.gaussian_model import GaussianModel
from training.options import RunOptions
from training.parameter_surgery import RowEdit, apply_edit
from training.run_log import RunLog
from utils.errors import UserError
from utils.progress import say

if TYPE_CHECKING:
    from training.trainer import Trainer

DEFAULT_THRESHOLD = 0.015
WEIGHTS = {"xyz": 2.0, "f_dc": 0.1, "scaling": 0.1}  # of the distances that make up a Gaussian's change


@dataclass(frozen=True)
class PurgePlan:
    """When what is removed; iterations are 1-based."""

    threshold: float = -1.0  # of the first purge, in world units; negative: none at all
    decay: float = 0.975  # of the threshold, from purge to purge
    interval: int = 100
    stop: int = 15_000

    @classmethod
    def from_options(cls, options: RunOptions, over_layers: bool) -> PurgePlan:
        """The plan that the command line asks for; by default only where a layer is trained over others."""
        optimization = options.optimization
        threshold = optimization.inactive_purge_threshold
        if threshold is None:
            threshold = DEFAULT_THRESHOLD if over_layers else -1.0
        if options.train.freeze_geometry:
            threshold = -1.0
        interval, stop = optimization.densification_interval, optimization.densify_until_iter
        return cls(threshold, optimization.inactive_purge_decay, interval, stop)

    @property
    def is_on(self) -> bool:
        """Whether changes are summed up at all."""
        return self.threshold >= 0

    def purges_at(self, iteration: int) -> bool:
        """Whether Gaussians are removed after this iteration, also before densification starts."""
        return self.is_on and iteration < self.stop and iteration % self.interval == 0

    def threshold_at(self, iteration: int) -> float:
        """Change below which a Gaussian goes."""
        return self.threshold * self.decay ** (iteration // self.interval - 1)


@dataclass
class InactivePurge:
    """Sums up how far each Gaussian is from where it was when the interval began.

    `begin` comes before every iteration, `observe` between backward pass and optimizer step, `update` after it and
    before densification, which begins another interval, as does every other change of the rows.
    """

    plan: PurgePlan
    change: Tensor = field(default_factory=lambda: torch.zeros(0))  # [N]
    start: dict[str, Tensor] = field(default_factory=dict)  # parameters when the interval began, each [N, ...]
    removed: int = 0
    rounds: int = 0
    _version: int | None = None  # of the model's rows in this interval; None = the interval is over

    @torch.no_grad()
    def begin(self, model: GaussianModel, version: int) -> None:
        """Start another interval if the last one is over. Equal sizes stay where they are: graphs write there."""
        if not self.plan.is_on or version == self._version:
            return
        self._version = version
        fresh = {name: model.params[name].detach() for name in WEIGHTS}
        if len(self.change) == model.num_gaussians and self.start:
            self.change.zero_()
            for name, value in fresh.items():
                self.start[name].copy_(value)
        else:
            self.change = torch.zeros(model.num_gaussians, device=model.device)
            self.start = {name: value.clone() for name, value in fresh.items()}

    @torch.no_grad()
    def observe(self, model: GaussianModel) -> None:
        """Add one iteration. No host synchronisation, no indexing."""
        if self.plan.is_on:
            for name, weight in WEIGHTS.items():
                apart = (model.params[name] - self.start[name]).flatten(1)
                self.change.add_(torch.linalg.vector_norm(apart, dim=1), alpha=weight)

    def update(self, trainer: Trainer, log: RunLog) -> None:
        """Purge if it is time, and write down how many went."""
        if not self.plan.purges_at(trainer.iteration):
            return
        threshold = self.plan.threshold_at(trainer.iteration)
        count = self._purge(trainer, threshold)
        self.removed, self.rounds, self._version = self.removed + count, self.rounds + 1, None
        figures = {"removed": count, "threshold": threshold, "count": trainer.model.num_gaussians}
        log.write(trainer.iteration, "purge", **figures)

    def say_total(self) -> None:
        """Say how many went in the whole run, if any could."""
        if self.rounds:
            say(f"inactive purge: {self.removed} Gaussians that did not learn were removed in {self.rounds} rounds")

    @torch.no_grad()
    def _purge(self, trainer: Trainer, threshold: float) -> int:
        """Remove what changed too little; statistics of densification follow. Returns how many went."""
        model, density = trainer.model, trainer.density
        kept = self.change >= threshold
        total, left = model.num_gaussians, int(kept.sum())
        if left == 0:
            raise UserError(
                f"every Gaussian changed less than {threshold:.3g} before iteration {trainer.iteration}; expected some "
                "to learn; lower --inactive_purge_threshold (world units), or make it negative"
            )
        if left < total:
            edit = RowEdit(kept.nonzero()[:, 0], torch.zeros(left, dtype=torch.bool, device=kept.device))
            apply_edit(model.params, trainer.optimizer, edit)
            statistics = density.state_dict()
            density.load_state_dict({name: _follow(value, edit, total) for name, value in statistics.items()})
        return total - left

    def state_dict(self, version: int) -> dict[str, object]:
        """What a checkpoint keeps while the model's rows are of this version; nothing where nothing is purged."""
        if not self.plan.is_on:
            return {}
        counts = {"removed": self.removed, "rounds": self.rounds}
        return {"change": self.change, "start": self.start, "is_over": self._version != version} | counts

    def load_state_dict(self, state: Mapping, model: GaussianModel, version: int) -> None:
        """Take over what `state_dict` gave; `version` is that of the model's rows now. Without it all starts anew."""
        if not state or not self.plan.is_on:
            return
        self.removed, self.rounds = int(state["removed"]), int(state["rounds"])
        if not state["is_over"]:
            self.change = state["change"].to(model.device).clone()
            self.start = {name: value.to(model.device).clone() for name, value in state["start"].items()}
            self._version = version


def _follow(value: Tensor, edit: RowEdit, count: int) -> Tensor:
    """Per-Gaussian statistics without the rows that went; anything else stays."""
    return edit.take(value) if value.ndim and len(value) == count else value
