"""The NeRF family's JSON files: frames with an image, a pose in OpenGL axes, and intrinsics here or there."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from scene.datasets.pictures import few, find_mask, image_size, with_extension
from scene.datasets.poses import world_to_camera_from_opengl
from scene.datasets.times import require_all_or_none, scaling_note, with_times
from scene.scene_info import CameraInfo, DatasetError
from utils.files import read_json

_SUPPORTED_MODELS = ("", "OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "OPENCV_FISHEYE", "PERSPECTIVE")
_PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE")


@dataclass(frozen=True)
class Frames:
    """What a file describes."""

    cameras: tuple[CameraInfo, ...]
    missing: tuple[str, ...]
    """`file_path` of frames whose image is not there."""
    untimed: tuple[str, ...] = ()
    """Image names of the cameras for which the file gives no time; their `time` is 0."""

    def notes(self, source: Path) -> list[str]:
        """One line about the skipped frames, if any."""
        if not self.missing:
            return []
        total = len(self.missing) + len(self.cameras)
        return [f"{source}: skipped {len(self.missing)} of {total} frames without image ({few(self.missing)})"]


def read_frames(source: Path) -> Frames:
    """Reads all frames of a `transforms*.json`; their images may lie anywhere relative to it.

    Raises:
        DatasetError: the file is no such file, has no frames, or none of the images exists.
    """
    document = load_document(source)
    frames = document["frames"]
    if not frames:
        raise DatasetError(f"{source}: has no frames; expected at least one camera, regenerate the file")
    cameras, missing, untimed = [], [], []
    for index, frame in enumerate(frames):
        where = f"{source} frame {index}"
        file_path = frame.get("file_path") if isinstance(frame, Mapping) else None
        if not isinstance(file_path, str) or not file_path:
            raise DatasetError(f"{where}: has no file_path; expected the name of an image, regenerate the file")
        path = with_extension(source.parent / file_path.replace("\\", "/"))
        if path is None:
            missing.append(file_path)
        else:
            cameras.append(_camera(document, frame, path, where, source.parent))
            untimed += [cameras[-1].image_name] if "time" not in {**document, **frame} else []
    if not cameras:
        raise DatasetError(f"{source}: none of its {len(frames)} images exists ({few(missing)}); put them beside it")
    return Frames(tuple(cameras), tuple(missing), tuple(untimed))


def with_common_time(parts: Sequence[Frames], source: Path) -> tuple[list[tuple[CameraInfo, ...]], list[str]]:
    """The cameras of each part with times in 0..1 on one scale, and notes.

    Args:
        parts: the files of a data set, e.g. train and test.
        source: file or folder, for messages.
    """
    cameras = [camera for part in parts for camera in part.cameras]
    require_all_or_none([name for part in parts for name in part.untimed], len(cameras), source)
    numbers = [camera.time for camera in cameras]
    timed = iter(with_times(cameras, numbers))
    return [tuple(islice(timed, len(part.cameras))) for part in parts], scaling_note(numbers, source)


def load_document(source: Path) -> Mapping:
    """The JSON object of a `transforms*.json`, with its list of frames."""
    document = read_json(source)
    if not isinstance(document, Mapping) or not isinstance(document.get("frames"), list):
        raise DatasetError(f"{source}: has no list 'frames'; expected a transforms.json of the NeRF family")
    return document


def _camera(document: Mapping, frame: Mapping, path: Path, where: str, root: Path) -> CameraInfo:
    """One camera; values of the frame win over values of the file."""
    values = {**{key: value for key, value in document.items() if key != "frames"}, **frame}
    width, height = image_size(path)
    number = _Numbers(values, where)
    fx, fy, cx, cy = _intrinsics(number, width, height)
    distortion, fisheye = _distortion(number, values, where)
    name = _relative_name(path, root)
    return CameraInfo(
        image_name=name,
        image_path=path,
        world_to_camera=world_to_camera_from_opengl(frame.get("transform_matrix"), where),
        fx=fx,
        fy=fy,
        cx=cx,
        cy=cy,
        width=width,
        height=height,
        time=number("time", 0.0),
        mask_path=_mask(values, root, name, where),
        distortion=distortion,
        fisheye=fisheye,
    )


class _Numbers:
    """Numbers of a frame by key, checked."""

    def __init__(self, values: Mapping, where: str) -> None:
        self.values, self.where = values, where

    def __call__(self, key: str, default: float | None = None) -> float | None:
        value = self.values.get(key, default)
        if value is default:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise DatasetError(f"{self.where}: {key} is {value!r}; expected a finite number, correct the file")
        return float(value)


def _intrinsics(number: _Numbers, width: int, height: int) -> tuple[float, float, float, float]:
    """(fx, fy, cx, cy) in pixels of the image file, which may be smaller than the file's w and h."""
    file_width, file_height = number("w", float(width)), number("h", float(height))
    fx, fy = number("fl_x"), number("fl_y")
    angle_x, angle_y = number("camera_angle_x"), number("camera_angle_y")
    if fx is None and angle_x is not None:
        fx = file_width / (2 * math.tan(angle_x / 2))
    if fy is None:
        fy = file_height / (2 * math.tan(angle_y / 2)) if fx is None and angle_y is not None else fx
    fx = fy if fx is None else fx
    if fx is None or min(fx, fy, file_width, file_height) <= 0:
        raise DatasetError(f"{number.where}: no usable focal length; expected positive fl_x (px) or camera_angle_x")
    scale_x, scale_y = width / file_width, height / file_height
    cx, cy = number("cx", file_width / 2), number("cy", file_height / 2)
    return fx * scale_x, fy * scale_y, cx * scale_x, cy * scale_y


def _distortion(number: _Numbers, values: Mapping, where: str) -> tuple[tuple[float, ...], bool]:
    """(coefficients in OpenCV order, fisheye)."""
    model = str(values.get("camera_model", "")).upper()
    if model not in _SUPPORTED_MODELS:
        supported = ", ".join(_SUPPORTED_MODELS[1:])
        raise DatasetError(f"{where}: camera_model {model} is not supported; expected {supported}; undistort first")
    if model in _PINHOLE_MODELS:
        return (), False
    if model == "OPENCV_FISHEYE" or values.get("is_fisheye") is True:
        return tuple(number(key, 0.0) for key in ("k1", "k2", "k3", "k4")), True
    coefficients = tuple(number(key, 0.0) for key in ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"))
    if not any(coefficients):
        return (), False
    return coefficients if any(coefficients[4:]) else coefficients[:4], False


def _relative_name(path: Path, root: Path) -> str:
    """Path of an image below the data set's folder, `/` between folders; links are not followed."""
    parts = Path(os.path.relpath(path, root)).parts
    return "/".join(part for part in parts if part != "..")


def _mask(values: Mapping, root: Path, name: str, where: str) -> Path | None:
    """The frame's own `mask_path`, or `masks/<name>.png`."""
    given = values.get("mask_path")
    if given is None:
        without_folder = name.partition("/")[2] or name
        return find_mask(root, name) or find_mask(root, without_folder)
    path = with_extension(root / str(given).replace("\\", "/"))
    if path is None:
        raise DatasetError(f"{where}: mask {given} does not exist; put it there or remove mask_path")
    return path
