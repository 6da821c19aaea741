"""Options of edit.py. Each field is a flag of the same name; see `params.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class EditParams:
    """What is composed, and where the result goes."""

    scene: Positional[str]
    """JSON file of the layers; see docs/edit.md."""
    output: Annotated[str, arg(aliases=["-o"])]
    """Model folder to write."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, cuda:1 ..."""
    backend: Literal["auto", "cuda", "cpu", "reference"] = "auto"
    """Rasterizer of painted views and of the report of holes."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
