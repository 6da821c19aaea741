"""Cameras of the Nerfies family: `camera/<id>.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scene.datasets.arrays import checked_array
from scene.datasets.poses import checked_pose
from scene.scene_info import DatasetError
from utils.files import read_json


@dataclass(frozen=True, eq=False)
class NerfiesCamera:
    """A camera as in the file: pixels of the full-size picture, coordinates before normalisation."""

    rotation: np.ndarray  # [3, 3] world to camera, OpenCV axes
    position: np.ndarray  # [3] camera centre
    fx: float
    fy: float
    cx: float
    cy: float
    skew: float
    width: float
    height: float
    distortion: tuple[float, ...]
    """OpenCV order, k1 k2 p1 p2 [k3 0 0 0]; () = pinhole. The Nerfies polynomial is OpenCV's."""


def read_camera(source: Path) -> NerfiesCamera:
    """Reads a camera file.

    Raises:
        DatasetError: the file is missing or an entry is no number, not finite or has another shape.
    """
    document = read_object(source)

    def numbers(key: str, shape: tuple[int, ...], default: object = None) -> np.ndarray:
        return checked_array(document.get(key, default), shape, f"{source}: {key}")

    focal, aspect = float(numbers("focal_length", ())), float(numbers("pixel_aspect_ratio", (), 1.0))
    (cx, cy), (width, height) = numbers("principal_point", (2,)), numbers("image_size", (2,))
    if min(focal, aspect, width, height) <= 0:
        found = f"focal length {focal:g}, pixel aspect {aspect:g}, image size {width:g}x{height:g}"
        raise DatasetError(f"{source}: {found}; expected positive numbers, correct the file")
    pose = np.eye(4)
    pose[:3, :3] = numbers("orientation", (3, 3))
    k1, k2, k3 = numbers("radial_distortion", (3,), (0, 0, 0))
    p1, p2 = numbers("tangential_distortion", (2,), document.get("tangential", (0, 0)))
    return NerfiesCamera(
        rotation=checked_pose(pose, str(source))[:3, :3],
        position=numbers("position", (3,)),
        fx=focal,
        fy=focal * aspect,
        cx=float(cx),
        cy=float(cy),
        skew=float(numbers("skew", (), 0.0)),
        width=float(width),
        height=float(height),
        distortion=_opencv_order(*map(float, (k1, k2, k3, p1, p2))),
    )


def read_object(source: Path) -> Mapping:
    """A JSON file that holds an object."""
    if not source.is_file():
        raise DatasetError(f"{source}: no such file; expected it in a data set of the Nerfies family, copy it again")
    document = read_json(source)
    if not isinstance(document, Mapping):
        raise DatasetError(f"{source}: holds no JSON object; expected a file of the Nerfies family, copy it again")
    return document


def _opencv_order(k1: float, k2: float, k3: float, p1: float, p2: float) -> tuple[float, ...]:
    if k3:
        return k1, k2, p1, p2, k3, 0.0, 0.0, 0.0
    return (k1, k2, p1, p2) if any((k1, k2, p1, p2)) else ()
