"""Pictures as a pinhole camera of the wanted size would have taken them, and that camera."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from scene.datasets.undistort import undistort
from scene.scene_info import CameraInfo

Size = tuple[int, int]  # width, height in px


def pinhole_camera(camera: CameraInfo, size: Size) -> CameraInfo:
    """The camera of the undistorted picture, scaled to cover `size` and cropped to it around the middle.

    Pixel centres are at +0.5, so the principal point scales like the focal length.
    """
    scale, left, top = _cover((camera.width, camera.height), size)
    return replace(
        camera,
        fx=camera.fx * scale,
        fy=camera.fy * scale,
        cx=camera.cx * scale - left,
        cy=camera.cy * scale - top,
        width=size[0],
        height=size[1],
        distortion=(),
        fisheye=False,
    )


def pinhole_picture(image: np.ndarray, camera: CameraInfo, size: Size, nearest: bool = False) -> np.ndarray:
    """What `pinhole_camera(camera, size)` sees.

    Args:
        image: uint8 [H, W, C] as photographed.
        nearest: take the nearest pixel instead of averaging (masks).
    """
    straight = undistort(image, camera, nearest)[0] if camera.distortion or camera.fisheye else image
    scale, left, top = _cover((camera.width, camera.height), size)
    if scale == 1 and straight.shape[:2] == size[::-1]:
        return straight
    x, y, width, height = left / scale, top / scale, size[0] / scale, size[1] / scale
    patch = straight[round(y) : round(y + height), round(x) : round(x + width)]
    mode = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(patch, size, interpolation=mode).reshape(size[1], size[0], image.shape[2])


def with_size_of(camera: CameraInfo, size: Size) -> CameraInfo:
    """A known camera for pictures of another size than it was calibrated at."""
    scale_x, scale_y = size[0] / camera.width, size[1] / camera.height
    return replace(
        camera,
        fx=camera.fx * scale_x,
        fy=camera.fy * scale_y,
        cx=camera.cx * scale_x,
        cy=camera.cy * scale_y,
        width=size[0],
        height=size[1],
    )


def _cover(have: Size, want: Size) -> tuple[float, float, float]:
    """Scale by which `have` just covers `want`, and the px cut off at the left and the top, whole source pixels."""
    scale = max(want[0] / have[0], want[1] / have[1])
    left, top = (round((h * scale - w) / 2 / scale) * scale for h, w in zip(have, want, strict=True))
    return scale, left, top
