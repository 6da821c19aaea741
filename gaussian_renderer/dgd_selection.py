"""Objects chosen by a click in one view or by a word, as in DGD (Labe et al. 2024): whose cosine reaches a threshold.

No smoothing, no connection in space, no negatives: segment.py has those.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scene.actions import edited
from scene.gaussian_model import GaussianModel
from scene.prompts import MIN_ALPHA, WINDOW_RADIUS_PX, Point, Surface, check_point
from scene.selection import automatic_threshold
from utils.errors import UserError
from utils.files import atomic_path

# Green, red, blue, yellow, cyan, magenta, white: DGD's order.
PALETTE = ((0, 1, 0), (1, 0, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1))
WINDOW_PX = 2 * WINDOW_RADIUS_PX + 1


@dataclass(frozen=True)
class Chosen:
    """K objects; every tensor with N is index-aligned with the model."""

    scores: Tensor  # [N, K] cosines with the queries
    queries: Tensor  # [K, C]
    thetas: Tensor  # [K]
    numbers: Tensor  # [N] int64, 0 = nothing, k + 1 = object k

    @property
    def mask(self) -> Tensor:
        """[N] bool, what belongs to any object."""
        return self.numbers > 0

    def save(self, path: Path) -> None:
        """An npz file: `indices` [M] and `objects` [M] (from 0) of the chosen, `scores`, `query`, `theta`."""
        indices = self.mask.nonzero()[:, 0]
        tensors = {"indices": indices, "objects": self.numbers[indices] - 1}
        tensors |= {"scores": self.scores, "query": self.queries, "theta": self.thetas}
        with atomic_path(path) as temp, open(temp, "wb") as file:
            np.savez_compressed(file, **{name: tensor.cpu().numpy() for name, tensor in tensors.items()})


def choose(scores: Tensor, queries: Tensor, thetas: Tensor, exclusive: bool) -> Chosen:
    """The Gaussians that reach their object's threshold.

    Args:
        scores: [N, K] cosines.
        queries: [K, C].
        thetas: [K] thresholds.
        exclusive: a Gaussian must also be nearest to its object's query; otherwise the last object wins.
    """
    reached = scores >= thetas.to(scores)
    if exclusive:
        reached &= scores == scores.amax(1, keepdim=True)
    numbers = torch.arange(1, scores.shape[1] + 1, device=scores.device)
    return Chosen(scores, queries, thetas, (reached * numbers).amax(1))


def thetas_for(given: Sequence[float], scores: Tensor, weight: Tensor | None) -> Tensor:
    """Thresholds [K] for scores [N, K]: those given, one for all, or without any the automatic ones.

    Args:
        given: K, one or no thresholds.
        scores: [N, K] cosines.
        weight: [N] how much each Gaussian is seen; only for automatic ones.
    """
    objects = scores.shape[1]
    if not given:
        return torch.tensor([automatic_threshold(column, weight) for column in scores.T])
    if len(given) not in (1, objects):
        raise UserError(f"--thetas has {len(given)} numbers for {objects} objects; expected one for each, or one")
    return torch.tensor([*given] * (objects // len(given)))


def read_points(texts: Sequence[str]) -> list[Point]:
    """Pixels from texts such as "(270,370)"; literals only, nothing is executed."""
    return [_read_point(text) for text in texts]


def _read_point(text: str) -> Point:
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = None
    if not isinstance(value, (tuple, list)) or [type(number) for number in value] != [int, int]:
        raise UserError(f'--points has {text[:40]!r}; expected "(X,Y)" in whole pixels, X the column; mend it')
    return value[0], value[1]


def window_query(surface: Surface, point: Point, is_corner: bool = False) -> Tensor:
    """Query [D]: mean of the features in 5x5 px around a point, or right of and below it; less at the picture's edge.

    Raises:
        UserError: the point is outside the picture, or there is nothing.
    """
    check_point(point, surface.size)
    x, y = point if is_corner else (point[0] - WINDOW_RADIUS_PX, point[1] - WINDOW_RADIUS_PX)
    rows, columns = slice(max(y, 0), y + WINDOW_PX), slice(max(x, 0), x + WINDOW_PX)
    if surface.alpha[0, rows, columns].max() < MIN_ALPHA:
        raise UserError(f"point {point[0]} {point[1]} shows nothing; expected a pixel on the object; move it")
    return surface.features[:, rows, columns].mean((1, 2))


def cosines(rows: Tensor, queries: Tensor) -> Tensor:
    """[N, K] from rows [N, D] and queries [K, D]; 0 for rows of zeros. Neither is changed."""
    return F.normalize(rows, dim=1) @ F.normalize(queries, dim=1).T


def marked(model: GaussianModel, chosen: Chosen, action: str) -> GaussianModel:
    """The model after one of `scene.actions.ACTIONS` on what is chosen; recolor gives each object its own colour."""
    if action != "recolor":
        return edited(model, chosen.mask, action, PALETTE[0])
    for index in range(chosen.scores.shape[1]):
        model = edited(model, chosen.numbers == index + 1, "recolor", PALETTE[index % len(PALETTE)])
    return model
