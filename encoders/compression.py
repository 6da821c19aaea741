"""Shortening teacher maps by a truncated, uncentred basis: rows f [C] are stored as W^T f [K].

Uncentred, so that inner products with words survive: text . f = (W^T text) . (W^T f) for f in the span of W.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from encoders.base import EncodedMap
from utils.errors import UserError
from utils.files import atomic_path
from utils.pca import leading_vectors

FILE_NAME = "basis/axes.safetensors"
MAX_PIXELS = 200_000


@dataclass(frozen=True)
class Basis:
    """An orthonormal basis of the leading directions of a teacher's pixels in one scene."""

    axes: Tensor  # W [C, K] float32
    explained: float  # share of the sampled pixels' squared length within the span
    cosine: float  # mean cosine between sampled pixels and what is left of them

    def save(self, folder: Path) -> None:
        """Write it into a cache folder."""
        with atomic_path(folder / FILE_NAME) as temp:
            save_file({"axes": self.axes.contiguous()}, temp)


def shorten(features: np.ndarray, axes: Tensor) -> np.ndarray:
    """A map [h, w, C] in the coordinates of a basis [C, K]: [h, w, K]."""
    return (torch.from_numpy(np.ascontiguousarray(features, np.float32)) @ axes).numpy()


def load_axes(folder: Path) -> Tensor | None:
    """W [C, K] of a cache folder, or None when its maps are not shortened."""
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        return load_file(path)["axes"].float()
    except (SafetensorError, KeyError) as error:
        raise UserError(f"{path} is no feature basis ({error}); delete {folder} to make it anew") from None


def fit_basis(maps: Iterable[EncodedMap], count: int, width: int, seed: int = 0) -> Basis:
    """The leading `width` directions of evenly drawn pixels of about `count` maps."""
    rng, drawn = np.random.default_rng(seed), []
    for encoded in maps:
        pixels = encoded.features.reshape(-1, encoded.features.shape[2])
        chosen = rng.permutation(len(pixels))[: -(-MAX_PIXELS // count)]
        drawn.append(torch.from_numpy(np.ascontiguousarray(pixels[chosen], np.float32)))
    rows = torch.cat(drawn).double()
    if not 1 <= width < rows.shape[1]:
        raise UserError(f"--pca is {width}, the maps have {rows.shape[1]} channels; expected 1 to {rows.shape[1] - 1}")
    axes = leading_vectors(rows.T @ rows, width)
    left = rows @ axes @ axes.T
    explained = float(left.square().sum() / rows.square().sum().clamp_min(1e-12))
    return Basis(axes.float(), explained, float(F.cosine_similarity(rows, left).mean()))
