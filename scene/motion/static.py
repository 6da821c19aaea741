"""Nothing moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ndraster
from torch import Tensor

from scene.motion import MOTIONS

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel


@MOTIONS.register("static")
class StaticMotion:
    """The same Gaussians at every time."""

    is_capturable = True

    def at(self, model: GaussianModel, time: float) -> ndraster.Gaussians:
        """Activated Gaussians, whatever the time."""
        del time
        return model.activated()

    def parameter_groups(self) -> list[dict[str, object]]:
        """No parameters of its own."""
        return []

    def losses(self, model: GaussianModel, time: float) -> dict[str, Tensor]:
        """No regularisers."""
        del model, time
        return {}

    def on_iteration(self, iteration: int) -> None:
        """Nothing to schedule."""
