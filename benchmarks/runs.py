"""One training among several that are compared, and how the project's scripts are run for it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results_io import Figure

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """One recipe on one scene."""

    area: str
    """First word of its figures."""
    scene: str
    recipe: str
    source: Path
    model: Path

    def figure(self, name: str, value: float, unit: str) -> Figure:
        """A number of this run."""
        return Figure(f"{self.area}.{self.scene}.{self.recipe}.{name}", value, unit)


def script(name: str, *words: str | Path) -> None:
    """Run one of the project's scripts, or `-m module`, without its output."""
    subprocess.run([sys.executable, *name.split(), *map(str, words)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
