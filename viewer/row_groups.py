"""Named groups of Gaussians that can be switched off: the layers of a model that has several."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from utils.errors import UserError
from utils.files import read_json

TABLE_NAME = "layers.json"


@dataclass(frozen=True, eq=False)
class RowGroup:
    """Some rows of a model under one name."""

    name: str
    rows: Tensor  # [N] bool


def read_groups(ply: Path, count: int) -> tuple[RowGroup, ...]:
    """The layers of a splat file of `count` rows, oldest first, from `layers.json` beside it; empty without one.

    Raises:
        UserError: they do not fit the file.
    """
    path = ply.with_name(TABLE_NAME)
    if not path.is_file():
        return ()
    content = read_json(path)
    entries = content.get("layers") if isinstance(content, dict) else None
    try:
        table = [(str(entry["name"]), int(entry["count"])) for entry in entries]
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: expected layers with name and count; save the model again") from None
    if sum(rows for _, rows in table) != count or any(rows < 0 for _, rows in table):
        seen = f"{sum(rows for _, rows in table)} Gaussians in layers, {count} in {ply.name}"
        raise UserError(f"{path}: {seen}; expected the same number; they must be of one run")
    return _groups(table)


def _groups(table: list[tuple[str, int]]) -> tuple[RowGroup, ...]:
    numbers = torch.repeat_interleave(torch.arange(len(table)), torch.tensor([rows for _, rows in table]))
    names = [
        name if name not in [other for other, _ in table[:index]] else f"{name} ({index})"
        for index, (name, _) in enumerate(table)
    ]
    return tuple(RowGroup(name, numbers == index) for index, name in enumerate(names))
