"""Pictures of masks and prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

SHARE = 0.5  # of the mask's colour
WHITE = np.array([255, 255, 255], np.uint8)
GREEN, RED, YELLOW = (40, 200, 80), (230, 50, 50), (250, 210, 60)
Point = tuple[float, float]


def overlay(image: np.ndarray, masks: Sequence[np.ndarray], colors: np.ndarray) -> np.ndarray:
    """The picture [H, W, 3] uint8 with masks [H, W] bool tinted in colours [M, 3] of 0..1 and outlined in white."""
    result = image.astype(np.float32)
    outline = np.zeros(image.shape[:2], bool)
    for mask, color in zip(masks, colors, strict=True):
        result[mask] += SHARE * (255 * np.asarray(color, np.float32) - result[mask])
        outline |= binary_dilation(mask) & ~mask
    result = result.round().clip(0, 255).astype(np.uint8)
    result[outline] = WHITE
    return result


def mark_prompt(
    image: np.ndarray, positives: Sequence[Point], negatives: Sequence[Point], box: Sequence[float] | None
) -> np.ndarray:
    """The picture with points for (green) and against (red) and the box (x1, y1, x2, y2; yellow)."""
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    radius = max(2, min(image.shape[:2]) // 80)
    for points, color in ((positives, GREEN), (negatives, RED)):
        for x, y in points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline=(255, 255, 255))
    if box is not None:
        pen.rectangle(tuple(box), outline=YELLOW, width=max(1, radius // 2))
    return np.asarray(drawn)
