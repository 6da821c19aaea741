"""Splat files: one file = one format, found by extension."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np

from utils.errors import UserError
from utils.registry import Registry

FORMATS = Registry("splat format")
START_BYTES = 4096


@dataclass(frozen=True, eq=False)
class SplatArrays:
    """Gaussians as stored in files: float32, before activation, named as the model's parameters."""

    xyz: np.ndarray  # [N, 3] world units
    f_dc: np.ndarray  # [N, 1, 3] SH coefficient of degree 0
    f_rest: np.ndarray  # [N, K - 1, 3] SH coefficients of degree 1 and up
    opacity: np.ndarray  # [N, 1] logit
    scaling: np.ndarray  # [N, 3] natural logarithm
    rotation: np.ndarray  # [N, 4] wxyz, any length
    semantic_feature: np.ndarray | None = None  # [N, D]
    motion_code: np.ndarray | None = None  # [N, J]

    def __len__(self) -> int:
        return len(self.xyz)

    def named(self) -> dict[str, np.ndarray]:
        """The arrays by name, without an absent one."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> SplatArrays:
        """The same record with a function applied to each array."""
        return SplatArrays(**{name: change(value) for name, value in self.named().items()})


class SplatFormat(Protocol):
    """One file format; `extension` is its file ending, with the dot."""

    extension: str
    marker: bytes
    """What the first bytes of such files hold, whatever they are called; empty = the ending decides."""

    def read(self, path: Path) -> SplatArrays:
        """Reads a file."""

    def write(self, path: Path, arrays: SplatArrays) -> None:
        """Writes a file, whole or not at all."""


def find_format(path: Path | str) -> SplatFormat:
    """The format of a file by the longest extension that fits; an unknown one lists what is known."""
    fitting = [entry for entry in known_formats() if Path(path).name.lower().endswith(entry.extension)]
    if not fitting:
        extensions = ", ".join(sorted(entry.extension for entry in known_formats()))
        raise UserError(f"{path}: no reader for this kind of splat file; known endings: {extensions}")
    return max(fitting, key=lambda entry: len(entry.extension))


def known_formats() -> list[SplatFormat]:
    """One of each format."""
    FORMATS.discover("scene.formats")
    return [FORMATS.get(name)() for name in FORMATS.names()]


def read_splats(path: Path | str) -> SplatArrays:
    """Reads Gaussians from a file of any known format, even if its ending is that of another one."""
    entry, start = find_format(path), _start_of(Path(path))
    marked = [known for known in known_formats() if known.marker and known.marker in start]
    return (marked[0] if marked else entry).read(Path(path))


def write_splats(path: Path | str, arrays: SplatArrays) -> None:
    """Writes Gaussians in the format that the file name asks for."""
    find_format(path).write(Path(path), arrays)


def _start_of(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with open(path, "rb") as file:
        return file.read(START_BYTES)
