"""Cameras and points as a COLMAP model in text files (COLMAP documentation, "Output format")."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from scene.cameras import Camera
from scene.scene_info import PointCloud
from utils.errors import UserError
from utils.files import atomic_path
from utils.transforms import matrix_to_quaternion

Lens = tuple[str, int, int, tuple[float, ...]]  # COLMAP's model, width, height, parameters


def write_colmap_text(folder: Path, cameras: Sequence[Camera], points: PointCloud | None) -> None:
    """Write cameras.txt, images.txt and points3D.txt; equal lenses share a camera, and no point has a track."""
    lenses = [lens_of(camera) for camera in cameras]
    ids = {lens: number for number, lens in enumerate(dict.fromkeys(lenses), 1)}
    _write(folder / "cameras.txt", "CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]", map(_camera_line, ids.items()))
    numbered = enumerate(zip(cameras, lenses, strict=True), 1)
    rows = (_image_lines(number, camera, ids[lens]) for number, (camera, lens) in numbered)
    _write(folder / "images.txt", "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then POINTS2D[]", rows)
    _write(folder / "points3D.txt", "POINT3D_ID X Y Z R G B ERROR TRACK[]", _point_lines(points))


def lens_of(camera: Camera) -> Lens:
    """COLMAP's camera of a view, at the size of the picture file if there is one."""
    known = camera.info or camera
    middle = (float(known.fx), float(known.fy), float(known.cx), float(known.cy))
    distortion = () if camera.info is None else camera.info.distortion
    kind = "PINHOLE"
    if distortion:
        fisheye = camera.info.fisheye
        kind = "OPENCV_FISHEYE" if fisheye else "OPENCV" if len(distortion) <= 4 else "FULL_OPENCV"
        width = {"OPENCV_FISHEYE": 4, "OPENCV": 4, "FULL_OPENCV": 8}[kind]
        distortion = (*map(float, distortion), *([0.0] * 8))[:width]
    return kind, int(known.width), int(known.height), (*middle, *distortion)


def _camera_line(entry: tuple[Lens, int]) -> str:
    (kind, width, height, parameters), number = entry
    return f"{number} {kind} {width} {height} {' '.join(map(repr, parameters))}"


def _image_lines(number: int, camera: Camera, camera_id: int) -> str:
    """The line of an image, and the empty one of its points."""
    if any(mark in camera.image_name for mark in "\r\n"):
        raise UserError(f"image name {camera.image_name!r} has a line break; expected one line; rename the picture")
    pose = np.asarray(camera.world_to_camera if camera.info is None else camera.info.world_to_camera, np.float64)
    quaternion = matrix_to_quaternion(torch.from_numpy(pose[:3, :3].copy())).tolist()
    values = " ".join(repr(float(value)) for value in (*quaternion, *pose[:3, 3]))
    return f"{number} {values} {camera_id} {camera.image_name}\n"


def _point_lines(points: PointCloud | None):
    if points is None:
        return
    colors = np.rint(np.clip(points.colors, 0, 1) * 255).astype(int)
    for number, (position, color) in enumerate(zip(points.positions.tolist(), colors.tolist(), strict=True), 1):
        yield f"{number} {' '.join(map(repr, position))} {' '.join(map(str, color))} 0"


def _write(path: Path, columns: str, lines) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f"# {columns}\n")
        for line in lines:
            file.write(line + "\n")
