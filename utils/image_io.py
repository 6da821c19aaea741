"""Images on disk and in memory: read, write, resize, and the `-r` rules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from utils.errors import UserError
from utils.files import atomic_path

MAX_AUTO_WIDTH = 1600
DIVISORS = (1, 2, 4, 8)
FEATURE_3DGS_SIZE = (480, 320)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read an image as uint8 [H, W, 3], or [H, W, 4] when it has transparency. EXIF rotation is not applied.

    Raises:
        UserError: the file is truncated or not an image.
        OSError: the file cannot be opened.
    """
    with _opened(path) as image:
        return _to_rgb_or_rgba(image)


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Image.Image]:
    """An image that is read whole; one line where that fails."""
    with open(path, "rb") as file:
        try:
            with Image.open(file) as image:
                image.load()
                yield image
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            reason = " ".join(str(error).split()).replace(repr(file), "it")
            raise UserError(f"{path} is not a readable image ({reason}); replace or remove it") from None


def _to_rgb_or_rgba(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return _repeat_grey(np.asarray(image).astype(np.uint32) / 257.0)
    if image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        return _repeat_grey(values / 257.0 if values.max(initial=0.0) > 255 else values)
    return np.array(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _repeat_grey(values: np.ndarray) -> np.ndarray:
    grey = np.clip(np.rint(np.nan_to_num(values)), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_values(path: str | os.PathLike) -> np.ndarray:
    """The stored numbers of an image's first channel, float32 [H, W], whatever its number of bits.

    Raises:
        UserError: the file is truncated or not an image.
        OSError: the file cannot be opened.
    """
    with _opened(path) as image:
        values = np.asarray(image if image.mode != "P" else image.convert("L"), dtype=np.float32)
    return values if values.ndim == 2 else np.ascontiguousarray(values[:, :, 0])


def to_uint8(image: Tensor) -> np.ndarray:
    """Float image [C, H, W] in 0..1 to uint8 [H, W, C], rounded; values outside are clamped, NaN becomes 0."""
    image = torch.nan_to_num(image.detach().float(), nan=0.0, posinf=1.0, neginf=0.0)
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def to_float(image: np.ndarray) -> Tensor:
    """uint8 [H, W, C] or [H, W] to a float tensor [C, H, W] in 0..1."""
    image = image[:, :, None] if image.ndim == 2 else image
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255


def write_png(path: str | os.PathLike, image: Tensor | np.ndarray) -> None:
    """Write a PNG atomically.

    Args:
        path: file to write; missing folders are made.
        image: float tensor [1 | 3 | 4, H, W] in 0..1, or uint8 array [H, W] or [H, W, 1 | 3 | 4].
    """
    pixels = to_uint8(image) if isinstance(image, Tensor) else np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        expected = "a float tensor [1|3|4, H, W] or a uint8 array [H, W, 1|3|4]"
        raise ValueError(f"image for {path} has shape {tuple(image.shape)}, dtype {image.dtype}; expected {expected}")
    with atomic_path(path) as temp:
        Image.fromarray(np.ascontiguousarray(pixels)).save(temp, format="PNG", compress_level=3)


def resize_uint8(array: np.ndarray, width: int, height: int, nearest: bool = False) -> np.ndarray:
    """Resize uint8 [H, W] or [H, W, 1 | 3 | 4] to `width` x `height` px, bicubic (or nearest, for labels).

    Pillow weights the colours of a 4-channel image by alpha (premultiplied), so hidden colours do not bleed.
    """
    if array.shape[:2] == (height, width):
        return array
    single = array.ndim == 3 and array.shape[2] == 1
    image = Image.fromarray(np.ascontiguousarray(array[:, :, 0] if single else array))
    method = Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC
    resized = np.array(image.resize((width, height), method))
    return resized[:, :, None] if single else resized


def training_size(width: int, height: int, resolution: int) -> tuple[int, int]:
    """Size (width, height) in px at which an image of `width` x `height` px is used for `-r resolution`.

    1, 2, 4, 8 divide (rounded); -1 keeps the size up to 1600 px of width and scales down to that above; any other
    positive number is the target width, heights truncated (the graphdeco rules; only the width counts). -2 is the
    fixed 480 x 320 of Feature 3DGS.
    """
    if resolution == -2:
        return FEATURE_3DGS_SIZE
    if resolution in DIVISORS:
        return max(1, round(width / resolution)), max(1, round(height / resolution))
    if resolution == -1:
        if width <= MAX_AUTO_WIDTH:
            return width, height
        resolution = MAX_AUTO_WIDTH
    if resolution < 1:
        raise UserError(f"resolution is {resolution}; expected 1, 2, 4, 8, -1 or a width in pixels; change -r")
    return resolution, max(1, height * resolution // width)
