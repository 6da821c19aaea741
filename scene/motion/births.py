"""Gaussians that are born while a scene is followed: for some moments their opacity and size are still found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import ndraster
import torch
from torch import Tensor, nn

RATES = {"young_opacity": 0.05, "young_scaling": 0.005}
"""Learning rates of what only the young still find, as in the first moment."""
_STORED = {"young_opacity": "opacity", "young_scaling": "scaling"}  # names among the model's parameters


class Youth:
    """Opacity and size of the last Y Gaussians."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        """`values` are logits `young_opacity` [Y, 1] and natural logarithms `young_scaling` [Y, 3]."""
        self.parameters = {name: nn.Parameter(values[name].detach().clone()) for name in RATES}

    @classmethod
    def of(cls, params: Mapping[str, Tensor], count: int) -> Youth | None:
        """The last `count` rows of a model's parameters; None where there are none."""
        rows = {name: params[stored][len(params[stored]) - count :] for name, stored in _STORED.items()}
        return cls(rows) if count else None

    @classmethod
    def restored(cls, state: Mapping[str, Tensor]) -> Youth | None:
        """As it was stored among other values, if it was."""
        return cls(state) if all(name in state for name in RATES) else None

    def __len__(self) -> int:
        return len(self.parameters["young_opacity"])

    def shown(self, still: ndraster.Gaussians) -> ndraster.Gaussians:
        """N Gaussians with these values in the last rows, differentiable."""
        elder = len(still.means) - len(self)
        opacities = self.parameters["young_opacity"].squeeze(-1).sigmoid()
        scales = self.parameters["young_scaling"].exp()
        return replace(
            still,
            opacities=torch.cat([still.opacities[:elder], opacities]),
            scales=torch.cat([still.scales[:elder], scales]),
        )

    @torch.no_grad()
    def store(self, params: Mapping[str, Tensor]) -> None:
        """Write these values into a model's parameters."""
        for name, stored in _STORED.items():
            params[stored][len(params[stored]) - len(self) :] = self.parameters[name]
