"""Nothing moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ndraster
from torch import Tensor

from scene.motion import MOTIONS, Motion, MotionSetup

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel


@MOTIONS.register("static")
class StaticMotion(Motion):
    """The same Gaussians at every time."""

    kind = "static"
    is_static = True

    @classmethod
    def create(cls, setup: MotionSetup) -> StaticMotion:
        """See `Motion`."""
        del setup
        return cls()

    def at(self, model: GaussianModel, time: float | Tensor) -> ndraster.Gaussians:
        """Activated Gaussians, whatever the time."""
        del time
        return model.activated()
