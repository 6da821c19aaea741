"""What moves, per picture: the difference from the empty stage, or masks that are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from scene.datasets.pictures import pictures_in, with_extension
from utils.errors import UserError
from utils.image_io import read_image, resize_uint8

LIGHTNESS_WEIGHT = 0.5  # against colour: shadows change lightness most
MEDIAN_FRAMES = 31  # of a camera's pictures, evenly spread
OPEN_SHARE, CLOSE_SHARE = 0.006, 0.012  # of the picture's height: specks that vanish, gaps that close


def empty_stage(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Median over time of one camera's pictures, uint8 [H, W, 3]."""
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(MEDIAN_FRAMES, len(pictures))).round().astype(int))
    return np.median(np.stack([pictures[index] for index in chosen]), axis=0).round().astype(np.uint8)


def difference_mask(image: np.ndarray, plate: np.ndarray, threshold: float) -> np.ndarray:
    """Where two pictures differ by more than `threshold` in CIE Lab, cleaned, bool [H, W]."""
    gap = _lab(image) - _lab(plate)
    gap[..., 0] *= LIGHTNESS_WEIGHT
    mask = (np.linalg.norm(gap, axis=2) > threshold).astype(np.uint8)
    height = image.shape[0]
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(OPEN_SHARE * height))
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _disc(CLOSE_SHARE * height)).astype(bool)


def read_plate(folder: Path, name: str, size: tuple[int, int]) -> np.ndarray:
    """The picture of the empty stage of a camera, uint8 [H, W, 3] in the size of its recording."""
    path = with_extension(folder / name)
    if path is None:
        raise UserError(f"{folder}: no picture of camera {name}; expected {name}.png or .jpg; add it or leave --plates")
    return resize_uint8(np.ascontiguousarray(read_image(path)[..., :3]), *size)


def find_masks(folder: Path, name: str, count: int) -> list[Path]:
    """The given mask files of a camera, one for each of the `count` frames of its recording."""
    found = pictures_in(folder / name)
    if len(found) != count:
        seen = f"{len(found)} masks for the {count} frames of camera {name}"
        raise UserError(f"{folder / name}: {seen}; expected one a frame; check --mask_folder")
    return found


def read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A given mask, bool [H, W] in the size of the recording: above half of its largest value."""
    values = resize_uint8(np.ascontiguousarray(read_image(path)[..., :3].max(2)), *size, nearest=True)
    return values > values.max(initial=0) / 2


def _lab(image: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(image, (3, 3), 0)  # compression noise
    return cv2.cvtColor(smooth.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def _disc(radius_px: float) -> np.ndarray:
    side = 2 * max(1, round(radius_px)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
