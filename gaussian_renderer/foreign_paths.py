"""Camera paths of other programs as entries in the layout of `cameras.json`, and the other way round.

A nerfstudio path is `{"camera_path": [{"camera_to_world": [16], "fov": degrees}], "render_width", "render_height"}`; a
`transforms.json` has `frames` with `transform_matrix`. Both are camera-to-world in OpenGL axes (y up, z backwards).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scene.cameras import Camera
from scene.datasets.pictures import image_size, with_extension
from utils.errors import UserError
from utils.files import read_json

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # between axes of OpenGL and OpenCV cameras, both ways
NERFSTUDIO_FPS = 24
_SQUARE = 1e-3  # relative difference of focal lengths that is rounding

Entry = dict[str, object]


def entries_of(document: Mapping, folder: Path) -> Iterator[Entry]:
    """Entries of a nerfstudio path or a transforms.json, to be checked like all others; KeyError and so on if broken.

    Args:
        document: the file's content.
        folder: where the file is; sizes that it does not say are those of its pictures.
    """
    if isinstance(document.get("camera_path"), list):
        yield from (_nerfstudio_entry(document, camera) for camera in document["camera_path"])
    elif isinstance(document.get("frames"), list):
        yield from (_transforms_entry({**document, **frame}, folder) for frame in document["frames"])
    else:
        raise ValueError("neither a list, nor camera_path, nor frames in it")


def nerfstudio_path(cameras: Sequence[Camera]) -> dict[str, object]:
    """A path that `ns-render camera-path` and nerfstudio's viewer open; they know one focal length, in the middle."""
    first = cameras[0]
    path, keyframes = [], []
    moves = len({float(camera.time) for camera in cameras}) > 1
    for camera in cameras:
        matrix = opengl_pose(camera).ravel().tolist()
        fov = math.degrees(2 * math.atan(camera.height / (2 * camera.fy)))
        shape = {"fov": fov, "aspect": camera.width / camera.height}
        timed = {"render_time": float(camera.time)} if moves else {}
        path.append({"camera_to_world": matrix, **shape, **timed})
        keyframes.append({"matrix": matrix, **shape, "override_transition_enabled": False, **_times(camera, moves)})
    return {
        "camera_type": "perspective",
        "render_height": first.height,
        "render_width": first.width,
        "fps": NERFSTUDIO_FPS,
        "seconds": len(cameras) / NERFSTUDIO_FPS,
        "is_cycle": False,
        "smoothness_value": 0.0,
        "default_fov": path[0]["fov"],
        "default_transition_sec": 1 / NERFSTUDIO_FPS,
        "keyframes": keyframes,
        "camera_path": path,
    }


def lost_in_nerfstudio(cameras: Sequence[Camera]) -> list[str]:
    """What of these cameras a nerfstudio path cannot say."""
    lost = []
    if any(abs(camera.fx / camera.fy - 1) > _SQUARE for camera in cameras):
        lost.append("pixels that are not square")
    middles = ((camera.cx - camera.width / 2, camera.cy - camera.height / 2) for camera in cameras)
    if any(max(abs(x), abs(y)) > 0.5 for x, y in middles):
        lost.append("principal points off the middle")
    if len({(camera.width, camera.height) for camera in cameras}) > 1:
        lost.append("pictures of several sizes")
    return lost


def transforms_document(cameras: Sequence[Camera], folder: Path) -> dict[str, object]:
    """A `transforms.json` in `folder` with all values in the frames; pictures are named relative to it."""
    moves = len({float(camera.time) for camera in cameras}) > 1
    frames = []
    for camera in cameras:
        info = camera.info
        known = info or camera
        path = camera.image_name if info is None else os.path.relpath(info.image_path, folder).replace("\\", "/")
        lens = {"fl_x": known.fx, "fl_y": known.fy, "cx": known.cx, "cy": known.cy, "w": known.width, "h": known.height}
        timed = {"time": float(camera.time)} if moves else {}
        pose = {"transform_matrix": opengl_pose(camera).tolist()}
        frames.append({"file_path": path, **lens, **_distortion(camera), **timed, **pose})
    fisheye = any(camera.info is not None and camera.info.fisheye for camera in cameras)
    return {"camera_model": "OPENCV_FISHEYE" if fisheye else "OPENCV", "frames": frames}


@dataclass(frozen=True, eq=False)
class NerfstudioWorld:
    """Where nerfstudio has moved a data set: a point x is at scale (R x + t) there."""

    transform: np.ndarray  # [4, 4]
    scale: float

    @classmethod
    def load(cls, path: Path) -> NerfstudioWorld:
        """Read `dataparser_transforms.json`."""
        document = read_json(path)
        try:
            matrix, scale = np.eye(4), float(document["scale"])
            matrix[:3] = np.array(document["transform"], np.float64)[:3]
        except (KeyError, TypeError, ValueError, IndexError):
            matrix, scale = np.full((4, 4), np.nan), 0.0
        rotation = matrix[:3, :3]
        if not (0 < scale < math.inf) or not np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-3:
            raise UserError(f"{path}: expected transform [3, 4], a rotation and shift, and scale; check --dataparser")
        return cls(matrix, scale)

    def into(self, camera_to_world: np.ndarray) -> np.ndarray:
        """A pose [4, 4] of the data set in nerfstudio's world."""
        pose = self.transform @ camera_to_world
        pose[:3, 3] *= self.scale
        return pose

    def out_of(self, camera_to_world: np.ndarray) -> np.ndarray:
        """A pose [4, 4] of nerfstudio's world in that of the data set."""
        pose = camera_to_world.copy()
        pose[:3, 3] /= self.scale
        return np.linalg.inv(self.transform) @ pose


def _times(camera: Camera, moves: bool) -> dict[str, object]:
    return {"override_time_enabled": True, "override_time_val": float(camera.time)} if moves else {}


def opengl_pose(camera: Camera) -> np.ndarray:
    """[4, 4] camera-to-world in OpenGL axes, in double precision where the data set has it."""
    known = camera.info.world_to_camera if camera.info is not None else camera.world_to_camera
    return np.linalg.inv(np.asarray(known, np.float64)) @ OPENGL


def _distortion(camera: Camera) -> dict[str, float]:
    if camera.info is None or not camera.info.distortion:
        return {}
    names = ("k1", "k2", "k3", "k4") if camera.info.fisheye else ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
    return dict(zip(names, camera.info.distortion, strict=False))


def _nerfstudio_entry(document: Mapping, camera: Mapping) -> Entry:
    if str(document.get("camera_type", "perspective")).lower() not in ("perspective", "pinhole"):
        raise ValueError(f"camera_type {document['camera_type']}, only perspective can be rendered")
    width, height = int(document["render_width"]), int(document["render_height"])
    matrix = np.array(camera["camera_to_world"], np.float64).reshape(4, 4)
    fov = float(camera["fov"])
    if not 0 < fov < 180:
        raise ValueError(f"fov {fov}")
    focal = height / (2 * math.tan(math.radians(fov) / 2))
    time = camera.get("render_time", 0.0)
    return _entry(matrix) | {"width": width, "height": height, "fx": focal, "fy": focal, "time": time}


def _transforms_entry(values: Mapping, folder: Path) -> Entry:
    width, height = _size(values, folder)
    fx, fy = values.get("fl_x"), values.get("fl_y")
    if fx is None:
        fx = width / (2 * math.tan(float(values["camera_angle_x"]) / 2))
    name = Path(str(values.get("file_path", ""))).name
    matrix = np.array(values["transform_matrix"], np.float64)
    matrix = np.vstack((matrix, [0.0, 0.0, 0.0, 1.0])) if matrix.shape == (3, 4) else matrix
    lens = {"width": width, "height": height, "fx": fx, "fy": fx if fy is None else fy}
    middle = {"cx": values.get("cx", width / 2), "cy": values.get("cy", height / 2), "time": values.get("time", 0.0)}
    return _entry(matrix) | lens | middle | ({"img_name": name} if name else {})


def _size(values: Mapping, folder: Path) -> tuple[int, int]:
    """Said by the file, or else of the picture."""
    if "w" in values and "h" in values:
        return int(values["w"]), int(values["h"])
    picture = with_extension(folder / str(values.get("file_path", "")).replace("\\", "/"))
    if picture is None:
        raise ValueError("neither w and h, nor a picture whose size could be taken")
    return image_size(picture)


def _entry(camera_to_world: np.ndarray) -> Entry:
    """Position and rotation of a pose [4, 4] in OpenGL axes."""
    if camera_to_world.shape != (4, 4):
        raise ValueError(f"pose of shape {camera_to_world.shape}")
    pose = camera_to_world @ OPENGL
    return {"position": pose[:3, 3].tolist(), "rotation": pose[:3, :3].tolist()}
