"""Lens distortion removed from pixels, keeping the camera matrix."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from scene.scene_info import CameraInfo

_CACHED_LENSES = 8


def undistort(image: np.ndarray, info: CameraInfo, nearest: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The picture that a pinhole camera with the same fx, fy, cx, cy would have taken.

    Args:
        image: [H, W, C] uint8 at the size of the image file.
        info: the camera with its distortion.
        nearest: take the nearest pixel instead of interpolating (masks).

    Returns:
        image [H, W, C] uint8 and valid [H, W] bool: False where the photograph has no pixel.
    """
    map_x, map_y, valid = _maps(
        (info.fx, info.fy, info.cx, info.cy), info.distortion, info.fisheye, (info.width, info.height)
    )
    mode = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    moved = cv2.remap(image, map_x, map_y, mode, borderMode=cv2.BORDER_REPLICATE)
    return moved.reshape(image.shape), valid


@lru_cache(maxsize=_CACHED_LENSES)
def _maps(
    intrinsics: tuple[float, float, float, float],
    distortion: tuple[float, ...],
    fisheye: bool,
    size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each pixel comes from (x, y; OpenCV counts pixel centres from 0) and whether that is inside."""
    fx, fy, cx, cy = intrinsics
    matrix = np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]])
    coefficients = np.array(distortion, np.float64)
    if fisheye:
        coefficients = np.resize(coefficients, 4) if coefficients.size else np.zeros(4)
        map_x, map_y = cv2.fisheye.initUndistortRectifyMap(matrix, coefficients, np.eye(3), matrix, size, cv2.CV_32FC1)
    else:
        map_x, map_y = cv2.initUndistortRectifyMap(matrix, coefficients, None, matrix, size, cv2.CV_32FC1)
    width, height = size
    valid = (map_x > -0.5) & (map_x < width - 0.5) & (map_y > -0.5) & (map_y < height - 0.5)
    return map_x, map_y, valid
