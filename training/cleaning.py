"""What --clean does towards the end of a training: Gaussians that are no part of the scene are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gaussian_renderer.evidence import evidence_of
from scene.cleaning import expendable
from training.parameter_surgery import RowEdit, apply_edit
from utils.errors import UserError
from utils.progress import say

if TYPE_CHECKING:
    from training.trainer import Trainer


CLEANING_SHARE = 0.9  # of the steps come before; in the others what is left fills the gaps


def cleaning_step(iterations: int) -> int:
    """The step after which is cleaned."""
    return max(1, round(CLEANING_SHARE * iterations))


@torch.no_grad()
def clean(trainer: Trainer) -> None:
    """Remove what the training views say is no part of the scene, and say how many that were."""
    model = trainer.model
    evidence = evidence_of(trainer.scene.train, model, trainer.settings)
    kept = ~expendable(model.means, model.params["opacity"][:, 0].sigmoid(), evidence)
    if not bool(kept.any()):
        raise UserError(
            "--clean would remove every Gaussian; expected some to show in the training views; leave it out"
        )
    rows = torch.arange(len(model), device=model.device)
    edit = RowEdit(rows, torch.zeros_like(kept)).keep(kept)
    say(f"cleaned: {len(model) - len(edit)} of {len(model)} Gaussians removed")
    apply_edit(model.params, trainer.optimizer, edit)
    trainer.density.reset_statistics(model)
