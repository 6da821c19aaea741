"""The clock of a layer: which of its own moments is shown at a moment of the composition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Clock:
    """A linear clock; what lies outside of the layer's 0..1 stands still, starts again or runs back."""

    start: float = 0.0
    """The layer's moment at the composition's moment 0."""
    speed: float = 1.0
    """Lengths of the layer while the composition runs from 0 to 1; negative = backwards."""
    ending: Literal["hold", "loop", "pingpong"] = "hold"
    reverse: bool = False
    """Show 1 - moment instead."""

    def at(self, time: float) -> float:
        """The layer's moment in 0..1 at the composition's `time`."""
        moment = self.start + self.speed * time
        if self.ending == "hold":
            moment = min(max(moment, 0.0), 1.0)
        elif self.ending == "pingpong":
            moment = 1 - abs(moment % 2 - 1)
        elif not 0 <= moment <= 1:  # the end of the clip is shown, and its first moment is not shown twice
            moment = moment - math.ceil(moment) + 1
        return 1 - moment if self.reverse else moment
