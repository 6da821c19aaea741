"""Class maps as pictures: a palette mask, an overlay on the photo, and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from utils.colormaps import palette
from utils.errors import UserError
from utils.files import atomic_path
from utils.image_io import write_png
from utils.legend import legend_picture

MAX_LABELS = 256  # of a palette picture
PHOTO_SHARE = 0.4  # of the overlay; the rest is the mask


def label_colors(count: int) -> np.ndarray:
    """One colour per label, [count, 3] uint8."""
    if count > MAX_LABELS:
        raise UserError(f"there are {count} labels; expected at most {MAX_LABELS} for pictures; name fewer")
    return (palette(count).numpy() * 255).round().astype(np.uint8)


def write_mask(path: Path, ids: np.ndarray, colors: np.ndarray) -> None:
    """Ids [h, w] as a palette PNG: read as numbers it gives the ids, in a viewer the colours."""
    mask = Image.fromarray(ids.astype(np.uint8), mode="P")
    mask.putpalette(colors.tobytes())
    with atomic_path(path) as temp:
        mask.save(temp, format="PNG")


def write_overlay(path: Path, image: np.ndarray, ids: np.ndarray, colors: np.ndarray) -> None:
    """Side by side: the photo [h, w, 3] uint8, the coloured mask over it, the mask."""
    mask = colors[ids]
    over = (PHOTO_SHARE * image + (1 - PHOTO_SHARE) * mask).round().astype(np.uint8)
    write_png(path, np.concatenate([image, over, mask], axis=1))


def write_legend(path: Path, ids: np.ndarray, names: Sequence[str], colors: np.ndarray) -> None:
    """Colour and name of every label that occurs in `ids`."""
    present = np.unique(ids)
    write_png(path, legend_picture([names[label] for label in present], colors[present]))
