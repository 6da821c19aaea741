"""A training that is looked at: its figures, and whether it waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from utils.progress import format_field


@dataclass
class LiveTraining:
    """What the page shows of a training, and what it asks of it."""

    total: int
    """Number of the last iteration."""
    iteration: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The last ones that were measured, by name."""
    is_paused: bool = False
    """Asked for by a visitor."""
    is_over: bool = False

    def text(self) -> str:
        """A table of the figures."""
        names = {"loss": "loss", "psnr": "PSNR of the last view, dB", "count": "Gaussians", "memory": "GPU memory"}
        rows = [("iteration", f"{self.iteration} of {self.total}")]
        rows += [(names[name], format_field(self.figures[name])) for name in names if name in self.figures]
        rows.append(("state", "finished" if self.is_over else "paused" if self.is_paused else "training"))
        return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
