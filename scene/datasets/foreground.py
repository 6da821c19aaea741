"""Masks of what may move, in any of the encodings that are about."""

from __future__ import annotations

import numpy as np

from scene.scene_info import CameraInfo, DatasetError
from utils.image_io import read_image

_GREY = 32  # difference of colour channels that compression makes, at most


def read_foreground(info: CameraInfo) -> np.ndarray:
    """[H, W] uint8 at the size of the image file: 255 = may move, 0 = background, between = share.

    A file without values above 1 is a mask of ones and zeros; a coloured one (palette of labels) is foreground where it
    is not black.

    Args:
        info: a camera with `foreground_path`.

    Raises:
        DatasetError: its size is not that of the photograph.
        UserError: the file cannot be decoded.
    """
    colors = read_image(info.foreground_path)[:, :, :3]
    share = colors.max(axis=2)
    if share.shape != (info.height, info.width):
        found = f"{share.shape[1]}x{share.shape[0]}"
        raise DatasetError(
            f"{info.foreground_path}: is {found}; expected {info.width}x{info.height} as {info.image_name}; "
            "make it again, or remove it to go without"
        )
    if (share - colors.min(axis=2)).max(initial=0) > _GREY:
        return np.where(share > _GREY, np.uint8(255), np.uint8(0))
    return share if share.max(initial=0) > 1 else share * np.uint8(255)
