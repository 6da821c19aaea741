"""Layers of a splat file: the column `layer` of Multi-Layer 3DGS, or `layers.json` beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.files import read_json
from utils.ply_header import read_header, read_rows

COLUMN, TABLE_NAME = "layer", "layers.json"


def layer_numbers(path: Path, count: int) -> np.ndarray | None:
    """Layer [N] of each Gaussian in a file of `count`, 0 = the oldest; None = the file knows no layers."""
    table = path.with_name(TABLE_NAME)
    numbers = _from_table(table, count) if table.is_file() else _from_column(path)
    if numbers is not None and len(numbers) != count:
        raise UserError(f"{path}: has {count} Gaussians, its layers {len(numbers)}; they must be of one run")
    return numbers


def rows_of_layers(numbers: np.ndarray | None, wanted: Sequence[str], path: Path) -> np.ndarray:
    """[N] bool: which Gaussians belong to the layers with these numbers; commas may separate them."""
    words = [word.strip() for entry in wanted for word in entry.split(",") if word.strip()]
    if numbers is None:
        raise UserError(f"--layers: {path} has no layers; expected a column layer or a layers.json; leave it out")
    present = sorted({int(number) for number in numbers})
    for word in words:
        if not word.isdecimal() or int(word) not in present:
            listed = ", ".join(map(str, present))
            raise UserError(f"--layers: {path} has no layer {word!r}; expected some of {listed}; change it")
    return np.isin(numbers, [int(word) for word in words])


def _from_column(path: Path) -> np.ndarray | None:
    """The column, with the layers counted from 0."""
    if not path.name.lower().endswith(".ply"):
        return None
    header = read_header(path)
    vertex = header.element("vertex")
    if vertex is None or COLUMN not in dict(vertex.properties) or not header.order:
        return None
    values = read_rows(path, header, "vertex")[COLUMN]
    return np.unique(values, return_inverse=True)[1]


def _from_table(path: Path, count: int) -> np.ndarray:
    content = read_json(path)
    entries = content.get("layers") if isinstance(content, dict) else None
    counts = [entry.get("count") if isinstance(entry, dict) else None for entry in entries or ()]
    if not counts or not all(type(rows) is int and rows >= 0 for rows in counts) or sum(counts) != count:
        raise UserError(f"{path}: expected layers whose counts add up to {count}, as in the file beside it; save again")
    return np.repeat(np.arange(len(counts)), counts)
