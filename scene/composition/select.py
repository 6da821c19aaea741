"""Which Gaussians of a model are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from scene.gaussian_model import GaussianModel
from scene.motion import CODE_NAME
from utils.errors import UserError

FOREGROUND_SHARE = 0.5  # from which a Gaussian counts as foreground
TRACKED = "per_timestep"  # kind of motion whose code begins with the foreground share
KEYS = ("selection", "file", "box", "gaussians")


@dataclass(frozen=True)
class Choice:
    """One way to say which Gaussians are meant."""

    kind: Literal["all", "foreground", "background", "selection", "file", "box", "gaussians"]
    value: str | tuple = ""
    """Name of a selection of segment.py; path of its selection.npz; corners (low, high) of a box; numbers of rows."""

    def __str__(self) -> str:
        return self.kind if self.value == "" else f"{self.kind} {self.value}"


@dataclass(frozen=True)
class Source:
    """A model that layers are made from."""

    model: GaussianModel
    folder: Path | None = None
    """Its model folder; None = a splat file."""
    paint: Tensor | None = None
    """[N, 3] RGB that is added to the colours."""


def chosen_mask(source: Source, choices: Sequence[Choice], time: float) -> Tensor:
    """Gaussians [N] bool that any of the choices means; boxes look at the moment `time`.

    Raises:
        UserError: the model has no such selection, or one of another number of Gaussians.
    """
    mask = torch.zeros(len(source.model), dtype=torch.bool, device=source.model.device)
    for choice in choices:
        mask |= _mask_of(source, choice, time).to(mask.device)
    return mask


def is_tracked(model: GaussianModel) -> bool:
    """Whether the motion code begins with the foreground share."""
    return getattr(model.motion, "kind", "") == TRACKED and CODE_NAME in model.params


def _mask_of(source: Source, choice: Choice, time: float) -> Tensor:
    model, count = source.model, len(source.model)
    if choice.kind == "all":
        return torch.ones(count, dtype=torch.bool)
    if choice.kind in ("foreground", "background"):
        return _foreground(source, choice) == (choice.kind == "foreground")
    if choice.kind == "box":
        low, high = (torch.tensor(corner, device=model.device) for corner in choice.value)
        means = model.at(time).means
        return ((means >= low) & (means <= high)).all(1)
    if choice.kind == "gaussians":
        if max(choice.value) >= count:
            raise UserError(f"gaussians has {max(choice.value)}; expected numbers below {count}; mend the list")
        return torch.zeros(count, dtype=torch.bool).index_fill(0, torch.tensor(choice.value), True)
    return torch.from_numpy(_saved_mask(_selection_path(source, choice), count))


def _foreground(source: Source, choice: Choice) -> Tensor:
    model = source.model
    if not is_tracked(model):
        seen = source.folder or "a splat file"
        raise UserError(f"{choice.kind} of {seen}: only tracked models know it; use a selection or a box instead")
    return model.params[CODE_NAME][:, 0] > FOREGROUND_SHARE


def _selection_path(source: Source, choice: Choice) -> Path:
    if choice.kind == "file":
        return Path(choice.value)
    if source.folder is None:
        raise UserError(f"{choice}: a splat file has no selections; expected a model folder; use file or box instead")
    return source.folder / "segment" / choice.value / "selection.npz"


def _saved_mask(path: Path, count: int) -> np.ndarray:
    """The array `mask` [N] bool of what segment.py has left."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected what segment.py --name leaves; select it first")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            mask = arrays["mask"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path}: no selection ({reason}); expected the array mask; select again") from None
    if mask.dtype != bool or mask.shape != (count,):
        seen = f"{mask.dtype} {list(mask.shape)}"
        raise UserError(f"{path}: mask is {seen}; expected {count} bools, one per Gaussian; select in this model again")
    return mask
