"""Calibrations that are known already: COLMAP, `*_meta.json`, `transforms.json`, LLFF's and Panoptic's files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from capture.calibrate import Calibration, camera_of_image, import_pycolmap
from capture.layout import camera_numbers
from capture.undistort import with_size_of
from scene.datasets.arrays import checked_array, load_array
from scene.datasets.neu3d import pose_and_size
from scene.datasets.poses import checked_pose, world_to_camera_from_opengl
from scene.scene_info import CameraInfo
from utils.errors import UserError
from utils.files import read_json

CENTIMETRE = 0.01
KINDS = "a COLMAP model folder, train_meta.json, transforms.json, poses_bounds.npy or Panoptic's calibration_*.json"

Entries = dict[str, CameraInfo]


def read_calibration(path: Path, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Calibration:
    """The given cameras for recordings of these names and sizes (width, height in px).

    Cameras are found by the name of their picture, its folder, or their number; those of `poses_bounds.npy` have none
    and come in the order of the recordings.

    Raises:
        UserError: another kind of file, a camera is missing, or its picture has another shape than the recording.
    """
    entries = _read(path, names)
    chosen = [_entry(entries, name, number, path) for name, number in zip(names, camera_numbers(names), strict=True)]
    for name, camera, size in zip(names, chosen, sizes, strict=True):
        if abs(camera.width * size[1] / (camera.height * size[0]) - 1) > 0.01:
            seen = f"{camera.width}x{camera.height}"
            raise UserError(f"{path}: camera {name} is {seen} px; expected the shape of the recording, {size}; correct")
    cameras = [with_size_of(camera, size) for camera, size in zip(chosen, sizes, strict=True)]
    return Calibration(tuple(cameras), source=f"given: {path.name}")


def _read(path: Path, names: Sequence[str]) -> Entries:
    if any((path / f"cameras.{end}").is_file() for end in ("bin", "txt")):
        return _colmap(path)
    if path.is_dir() and (path / "train_meta.json").is_file():
        path = path / "train_meta.json"
    if path.suffix == ".npy" and path.is_file():
        return _poses_bounds(path, names)
    document = read_json(path) if path.suffix == ".json" and path.is_file() else None
    if isinstance(document, Mapping):
        if "w2c" in document:
            both = [path.with_name(f"{split}_meta.json") for split in ("train", "test")]
            return {k: v for part in both if part.is_file() for k, v in _meta(read_json(part), part).items()}
        if isinstance(document.get("frames"), list):
            return _transforms(document, path)
        if isinstance(document.get("cameras"), list):
            return panoptic_cameras(document, path)
    raise UserError(f"{path}: not a known calibration; expected {KINDS}; check --calibration")


def _entry(entries: Entries, name: str, number: int, path: Path) -> CameraInfo:
    for key in (name, str(number)):
        if key in entries:
            return entries[key]
    raise UserError(f"{path}: has no camera {name}; expected one for each recording; it has {', '.join(entries)}")


def _colmap(path: Path) -> Entries:
    model = import_pycolmap().Reconstruction(path)
    entries: Entries = {}
    for image in model.images.values():
        for key in _keys(image.name):
            entries.setdefault(key, camera_of_image(key, 0, model.cameras[image.camera_id], image))
    return entries


def _meta(document: Mapping, path: Path) -> Entries:
    """The first moment of a `*_meta.json`."""
    try:
        rows = list(zip(document["cam_id"][0], document["k"][0], document["w2c"][0], strict=True))
        size = int(document["w"]), int(document["h"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise UserError(f"{path}: not whole; expected w, h, cam_id, k and w2c of every moment; write again") from None
    return {
        str(cam): _pinhole(str(cam), checked_array(k, (3, 3), f"{path} k"), w2c, size, path) for cam, k, w2c in rows
    }


def _transforms(document: Mapping, path: Path) -> Entries:
    entries: Entries = {}
    for frame in document["frames"]:
        values = {**document, **frame}
        try:
            width, height = int(values["w"]), int(values["h"])
            angle = values.get("camera_angle_x")
            fx = float(values.get("fl_x") or width / (2 * math.tan(float(angle) / 2)))
            matrix = np.array([[fx, 0, values.get("cx", width / 2)], [0, values.get("fl_y", fx), 0], [0, 0, 1.0]])
            matrix[1, 2] = values.get("cy", height / 2)
            lens = tuple(float(values.get(key, 0.0)) for key in ("k1", "k2", "p1", "p2"))
            name = str(frame["file_path"])
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{path}: a frame lacks file_path, w, h or fl_x; expected them for each; add them"
            ) from None
        pose = world_to_camera_from_opengl(frame.get("transform_matrix"), f"{path} {name}")
        for key in _keys(name):
            entries.setdefault(key, _pinhole(key, matrix, pose, (width, height), path, lens if any(lens) else ()))
    return entries


def _poses_bounds(path: Path, names: Sequence[str]) -> Entries:
    rows = checked_array(load_array(path), (None, 17), str(path))
    if len(rows) != len(names):
        raise UserError(f"{path}: has {len(rows)} cameras for {len(names)} recordings; expected equally many; correct")
    entries = {}
    for name, row in zip(names, rows, strict=True):
        pose, height, width, focal = pose_and_size(row, str(path))
        matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        entries[name] = _pinhole(name, matrix, pose, (int(width), int(height)), path)
    return entries


def panoptic_cameras(document: Mapping, path: Path) -> Entries:
    """HD cameras of Panoptic Studio by name ("00_16") and number, cm to m; its K counts pixel centres from 0."""
    entries: Entries = {}
    for values in document["cameras"]:
        if values.get("type", "hd") != "hd":
            continue
        try:
            matrix = checked_array(values["K"], (3, 3), f"{path} K")
            pose = np.eye(4)
            pose[:3, :3] = checked_array(values["R"], (3, 3), f"{path} R")
            pose[:3, 3] = np.ravel(values["t"]) * CENTIMETRE
            lens = tuple(float(value) for value in np.ravel(values["distCoef"]))
            name, node, size = str(values["name"]), int(values["node"]), tuple(map(int, values["resolution"]))
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path}: a camera lacks name, node, resolution, K, R, t or distCoef; copy again") from None
        matrix[:2, 2] += 0.5
        for key in (name, str(node)):
            entries[key] = _pinhole(key, matrix, pose, size, path, (*lens, 0, 0, 0)[: max(len(lens), 4)])
    return entries


def _pinhole(name: str, matrix: np.ndarray, pose: object, size: tuple[int, int], path: Path, lens: tuple = ()):
    checked = checked_pose(checked_array(pose, (4, 4), f"{path} camera {name}"), f"{path} camera {name}")
    fx, fy, cx, cy = (float(value) for value in (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]))
    return CameraInfo(name, Path(name), checked, fx, fy, cx, cy, *size, distortion=lens)


def _keys(name: str) -> list[str]:
    """What may name the camera of a picture: its stem and the folders it is in, `images` left out."""
    path = PurePosixPath(name.replace("\\", "/"))
    return [path.stem, *(part for part in path.parts[:-1] if part not in (".", "..", "images", "ims", "frames"))]
