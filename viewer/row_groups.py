"""Named groups of Gaussians that can be switched off: the layers of a model that has several."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from scene.layer_files import read_table


@dataclass(frozen=True, eq=False)
class RowGroup:
    """Some rows of a model under one name."""

    name: str
    rows: Tensor  # [N] bool


def read_groups(ply: Path, count: int) -> tuple[RowGroup, ...]:
    """The layers of a splat file of `count` rows, oldest first, each under a name of its own; empty without any.

    Raises:
        UserError: they do not fit the file.
    """
    table = read_table(ply, count)
    if table is None:
        return ()
    numbers = torch.from_numpy(table.numbers)
    names = [name if name not in table.names[:index] else f"{name} ({index})" for index, name in enumerate(table.names)]
    return tuple(RowGroup(name, numbers == index) for index, name in enumerate(names))
