"""Camera paths from a file: the `cameras.json` that training writes (as 3DGS did), and those of other programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from gaussian_renderer.foreign_paths import entries_of
from scene.cameras import Camera, camera_record
from utils.errors import UserError
from utils.files import read_json, write_json

MAX_SIDE_PX = 16384
ORTHONORMAL = 1e-3  # how far a rotation may be from one, from rounding
_END = object()
LAYOUT = "position [3], rotation [3][3] (camera to world), width, height, fx, fy"


def read_cameras(path: str | Path) -> list[Camera]:
    """Cameras of a JSON list in the order of the file, of a nerfstudio camera path, or of a `transforms.json`.

    Each entry of a list has `position` [3] (centre, world), `rotation` (camera-to-world, list of rows, OpenCV axes),
    `width`, `height`, `fx`, `fy` in px, and if wanted `img_name`, `cx`, `cy` (else the middle) and `time` in 0..1.

    Raises:
        UserError: one line about the first entry that is none.
    """
    path = Path(path)
    document = read_json(path)
    known = document if isinstance(document, list) else []
    entries = entries_of(document, path.parent) if isinstance(document, Mapping) else iter(known)
    cameras = list(_cameras(path, entries))
    if not cameras:
        raise UserError(f"{path}: expected a list of cameras, each with {LAYOUT}; see docs/render.md")
    return cameras


def write_cameras(path: str | Path, cameras: Sequence[Camera]) -> None:
    """Write what `read_cameras` reads back: every camera at its own size, with its principal point and time."""
    write_json(path, [camera_entry(camera) for camera in cameras])


def camera_entry(camera: Camera) -> dict[str, object]:
    """One entry of such a file."""
    numbers = {name: getattr(camera, name) for name in ("width", "height", "fx", "fy", "cx", "cy", "time")}
    rotation = camera.world_to_camera[:3, :3].T.tolist()
    return {"img_name": camera.image_name, "position": camera.center.tolist(), "rotation": rotation, **numbers}


def path_record(camera: Camera, index: int) -> dict[str, object]:
    """An entry of `cameras.json` that keeps the principal point and the time."""
    source = camera.info or camera
    return camera_record(camera, index) | {"cx": source.cx, "cy": source.cy, "time": float(camera.time)}


def _cameras(path: Path, entries: Iterator) -> Iterator[Camera]:
    """The entries one by one; those of other programs are made on the way, so that an error names its entry."""
    for index in count():
        try:
            entry = next(entries, _END)
            if entry is _END:
                return
            yield camera_of(entry, index)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:80]
            raise UserError(f"{path}: camera {index}: {reason}; expected {LAYOUT}; mend the file") from None


def camera_of(entry: dict, index: int) -> Camera:
    """The camera of one entry; KeyError, TypeError, ValueError or OverflowError where it is none."""
    width, height = int(entry["width"]), int(entry["height"])
    fx, fy = float(entry["fx"]), float(entry["fy"])
    cx, cy = float(entry.get("cx", width / 2)), float(entry.get("cy", height / 2))
    time = float(entry.get("time", 0.0))
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise ValueError(f"size {width} x {height}")
    if not (0 < fx < math.inf and 0 < fy < math.inf and math.isfinite(cx) and math.isfinite(cy)):
        raise ValueError(f"focal lengths {fx}, {fy}, centre {cx}, {cy}")
    if not 0 <= time <= 1:
        raise ValueError(f"time {time}")
    pose = _world_to_camera(entry["position"], entry["rotation"])
    name = str(entry.get("img_name", f"camera_{index:05d}"))
    return Camera(index, name, pose, fx, fy, cx, cy, width, height, time)


def _world_to_camera(position: list, rotation: list) -> Tensor:
    """[4, 4] from the centre and the camera-to-world rotation."""
    centre, matrix = torch.tensor(position, dtype=torch.float64), torch.tensor(rotation, dtype=torch.float64)
    if centre.shape != (3,) or matrix.shape != (3, 3) or not torch.isfinite(centre).all():
        raise ValueError(f"position {tuple(centre.shape)}, rotation {tuple(matrix.shape)}, or not finite")
    defect = float((matrix @ matrix.T - torch.eye(3, dtype=torch.float64)).abs().max())
    if not defect < ORTHONORMAL or torch.linalg.det(matrix) < 0:
        raise ValueError("rotation is no rotation")
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3], pose[:3, 3] = matrix.T, -matrix.T @ centre
    return pose.float()
