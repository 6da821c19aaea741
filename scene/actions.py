"""What can be done with selected Gaussians: a new model each time, the old one stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scene.editing import recolored
from scene.gaussian_model import GaussianModel
from scene.recoloring import grey_mix, mixed, painted
from utils.spherical_harmonics import rgb_to_sh

DIMMED = 0.35  # brightness of what is not highlighted
ACTIONS = ("extract", "remove", "recolor", "highlight")


def edited(model: GaussianModel, mask: Tensor, action: str, color: Sequence[float]) -> GaussianModel:
    """The model after one of `ACTIONS` on the Gaussians in `mask` [N] bool.

    extract leaves nothing else; remove leaves everything else; recolor paints them in `color` (RGB in 0..1), the same
    from everywhere; highlight turns everything else dark and grey.
    """
    if action == "extract":
        return model.subset(mask)
    if action == "remove":
        return model.subset(~mask)
    if action == "recolor":
        return recolored(model, mask, painted(color))
    if action == "highlight":
        return recolored(model, ~mask, _dark_and_grey)
    raise ValueError(f"action is {action!r}; expected one of {', '.join(ACTIONS)}")


def painted_by_label(model: GaussianModel, numbers: Tensor, palette: Tensor) -> GaussianModel:
    """The model without features; Gaussians with a number [N] above 0 in their colour [L, 3], the others grey."""
    named = numbers > 0
    colors = rgb_to_sh(palette.to(model.device)[numbers[named] - 1])

    def paint(sh: Tensor) -> Tensor:
        return torch.cat([colors.to(sh)[:, None], torch.zeros_like(sh[:, 1:])], dim=1)

    plain = recolored(model.with_features(None), ~named, mixed(grey_mix()))
    return recolored(plain, named, paint)


def _dark_and_grey(sh: Tensor) -> Tensor:
    """Coefficients [M, K, 3] of `DIMMED` times the brightness."""
    dark = DIMMED * mixed(grey_mix())(sh)
    dark[:, 0] += (1 - DIMMED) * rgb_to_sh(0.0)
    return dark
