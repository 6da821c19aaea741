"""What a visitor has chosen to see; one frozen record, so that threads pass it around freely."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

MODES = ("color", "depth", "alpha", "features", "labels", "similarity")
MARKED, PLAIN, ONLY, WITHOUT = "marked", "plain", "only the selection", "without the selection"
SHOWS = (MARKED, PLAIN, ONLY, WITHOUT)


@dataclass(frozen=True)
class Crop:
    """An axis-aligned box, world units."""

    centre: tuple[float, float, float]
    size: tuple[float, float, float]

    def holds(self, points: Tensor) -> Tensor:
        """Which points [N, 3] are inside, [N] bool."""
        offsets = (points - points.new_tensor(self.centre)).abs()
        return (2 * offsets <= points.new_tensor(self.size)).all(1)


@dataclass(frozen=True)
class ViewState:
    """How the scene is shown."""

    mode: str = "color"
    """One of MODES."""
    time: float = 0.0
    """Moment in 0..1."""
    show: str = MARKED
    """What of a selection is to be seen, one of SHOWS."""
    hidden: frozenset[str] = frozenset()
    """Names of layers that are switched off."""
    crop: Crop | None = None
    comparison: str = "off"
    """With the photograph, where a visitor stands at one: one of `photos.COMPARISONS`."""
    share: float = 0.5
    """Of the photograph in that comparison."""
    tails: bool = True
    """Draw the ways of selected Gaussians where things move."""
    scale: float = 1.0
    """Factor on every Gaussian's scale."""
