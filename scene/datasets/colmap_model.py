"""COLMAP's sparse model as arrays: cameras, images and points, binary or text.

Formats: the COLMAP documentation, "Output format". Files of newer versions (rigs, frames) are not needed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from scene.scene_info import DatasetError

CAMERA_MODELS = (
    ("SIMPLE_PINHOLE", 3),
    ("PINHOLE", 4),
    ("SIMPLE_RADIAL", 4),
    ("RADIAL", 5),
    ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12),
    ("FOV", 5),
    ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5),
    ("THIN_PRISM_FISHEYE", 12),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
)
"""(name, number of parameters) by COLMAP's model id."""
_PARAMETER_COUNTS = dict(CAMERA_MODELS)
_COMMENT_LINES = 10
Ending = Literal["bin", "txt"]


@dataclass(frozen=True)
class ColmapCamera:
    """Intrinsics shared by some images."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ColmapImage:
    """One registered image."""

    name: str
    camera_id: int
    quaternion_wxyz: np.ndarray  # [4] rotation world to camera
    translation: np.ndarray  # [3]
    keypoints: np.ndarray  # [M, 2] px, pixel centres at +0.5
    point_ids: np.ndarray  # [M] int64, -1 = not triangulated


@dataclass(frozen=True, eq=False)
class ColmapPoints:
    """The triangulated points."""

    ids: np.ndarray  # [P] int64
    positions: np.ndarray  # [P, 3] float64
    colors: np.ndarray  # [P, 3] uint8
    errors: np.ndarray  # [P] px, mean reprojection error of each; negative = not known


def read_cameras(model: Path, prefer: Ending = "bin") -> dict[int, ColmapCamera]:
    """Cameras by id, from `cameras.bin` or `cameras.txt` of a model folder."""
    path = _file(model, "cameras", prefer)
    return _cameras_binary(_Bytes(path)) if path.suffix == ".bin" else _cameras_text(_Text(path))


def read_images(model: Path, prefer: Ending = "bin") -> list[ColmapImage]:
    """Images from `images.bin` or `images.txt` of a model folder."""
    path = _file(model, "images", prefer)
    return _images_binary(_Bytes(path)) if path.suffix == ".bin" else _images_text(_Text(path))


def read_points3d(model: Path, prefer: Ending = "bin") -> ColmapPoints | None:
    """Points from `points3D.bin` or `points3D.txt`; None if there is neither."""
    path = _file(model, "points3D", prefer)
    if not path.is_file():
        return None
    return _points_binary(_Bytes(path)) if path.suffix == ".bin" else _points_text(_Text(path))


def _file(model: Path, stem: str, prefer: Ending) -> Path:
    """The binary or the text file, the preferred one if both are there; the text file if none is."""
    found = [model / f"{stem}.{ending}" for ending in (prefer, "bin", "txt")]
    return next((path for path in found if path.is_file()), found[-1])


def count_images(model: Path) -> int:
    """Number of images in a model folder, without reading them all."""
    if (model / "images.bin").is_file():
        return _Bytes(model / "images.bin").take("Q")[0]
    return sum(1 for _ in _text_image_lines(_Text(model / "images.txt")))


class _Bytes:
    """Little-endian reading of a whole file; running out of bytes is one clear line."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.offset = path, path.read_bytes(), 0

    def take(self, layout: str) -> tuple:
        """Next values of a `struct` layout."""
        step = struct.calcsize("<" + layout)
        self.need(step)
        values = struct.unpack_from("<" + layout, self.data, self.offset)
        self.offset += step
        return values

    def need(self, count: int) -> None:
        """Raises unless `count` more bytes are there."""
        if self.offset + count > len(self.data):
            raise DatasetError(
                f"{self.path}: ends after {len(self.data)} bytes in the middle of a record; expected more "
                "(truncated?), copy it again"
            )

    def take_text(self) -> str:
        """Next zero-terminated string."""
        end = self.data.find(b"\0", self.offset)
        if end < 0:
            self.need(len(self.data) + 1)
        text = self.data[self.offset : end].decode("utf-8", errors="replace")
        self.offset = end + 1
        return text

    def take_array(self, dtype: np.dtype, count: int) -> np.ndarray:
        """Next `count` records, as a view."""
        self.need(dtype.itemsize * count)
        array = np.frombuffer(self.data, dtype, count, self.offset)
        self.offset += dtype.itemsize * count
        return array


class _Text:
    """Lines of a text file without comments; a line that makes no sense is named by its number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DatasetError(f"{path}: no such file; expected {path.stem}.bin or {path.name} in the COLMAP model")

    def lines(self) -> Iterator[tuple[int, str]]:
        """(number from 1, line) without comments; empty lines are kept, because images have them."""
        with open(self.path, encoding="utf-8", errors="replace") as stream:
            for number, line in enumerate(stream, 1):
                if not line.startswith("#"):
                    yield number, line.rstrip("\r\n")

    def check_count(self, found: int) -> None:
        """Raises if COLMAP's comment `# Number of ...: n` announces more records than were found."""
        with open(self.path, encoding="utf-8", errors="replace") as stream:
            comments = [line for line, _ in zip(stream, range(_COMMENT_LINES), strict=False) if line.startswith("#")]
        declared = re.search(r"Number of \w+: (\d+)", "".join(comments))
        if declared and int(declared[1]) > found:
            raise DatasetError(
                f"{self.path}: announces {declared[1]} records but holds {found} (truncated?); copy it again"
            )

    def error(self, number: int, expected: str) -> DatasetError:
        """The error for a bad line."""
        return DatasetError(f"{self.path}: line {number} is not a whole record; expected {expected} (truncated?)")


def _cameras_binary(data: _Bytes) -> dict[int, ColmapCamera]:
    cameras = {}
    for _ in range(data.take("Q")[0]):
        camera_id, model_id, width, height = data.take("iiQQ")
        if not 0 <= model_id < len(CAMERA_MODELS):
            raise DatasetError(f"{data.path}: camera {camera_id} has model id {model_id}; expected 0..11, convert it")
        name, count = CAMERA_MODELS[model_id]
        cameras[camera_id] = ColmapCamera(name, width, height, data.take(f"{count}d"))
    return cameras


def _cameras_text(text: _Text) -> dict[int, ColmapCamera]:
    cameras = {}
    for number, line in text.lines():
        fields = line.split()
        if not fields:
            continue
        try:
            camera_id, name, width, height = int(fields[0]), fields[1], int(fields[2]), int(fields[3])
            params = tuple(float(value) for value in fields[4:])
        except (ValueError, IndexError) as error:
            raise text.error(number, "ID MODEL WIDTH HEIGHT PARAMS...") from error
        if len(params) != _PARAMETER_COUNTS.get(name, len(params)):
            raise text.error(number, f"{_PARAMETER_COUNTS[name]} parameters of {name}")
        cameras[camera_id] = ColmapCamera(name, width, height, params)
    text.check_count(len(cameras))
    return cameras


_KEYPOINT = np.dtype([("xy", "<f8", 2), ("point", "<i8")])


def _images_binary(data: _Bytes) -> list[ColmapImage]:
    images = []
    for _ in range(data.take("Q")[0]):
        values = data.take("i7di")
        name = data.take_text()
        keypoints = data.take_array(_KEYPOINT, data.take("Q")[0])
        images.append(
            ColmapImage(
                name=name,
                camera_id=values[8],
                quaternion_wxyz=np.array(values[1:5]),
                translation=np.array(values[5:8]),
                keypoints=keypoints["xy"],
                point_ids=keypoints["point"],
            )
        )
    return images


def _text_image_lines(text: _Text) -> Iterator[tuple[int, str, str]]:
    """(line number, pose line, keypoint line) of each image; the last keypoint line may be absent."""
    lines = text.lines()
    for number, line in lines:
        if line.strip():
            yield number, line, next(lines, (0, ""))[1]


def _images_text(text: _Text) -> list[ColmapImage]:
    images = []
    for number, line, keypoint_line in _text_image_lines(text):
        fields = line.split(maxsplit=9)
        try:
            pose = np.array([float(value) for value in fields[1:8]])
            camera_id, name = int(fields[8]), fields[9].rstrip()
            triples = np.array(keypoint_line.split(), np.float64).reshape(-1, 3)
        except (ValueError, IndexError) as error:
            raise text.error(number, "ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then X Y POINT3D_ID triples") from error
        point_ids = triples[:, 2].astype(np.int64)
        images.append(ColmapImage(name, camera_id, pose[:4], pose[4:], triples[:, :2], point_ids))
    text.check_count(len(images))
    return images


_POINT = np.dtype([("id", "<i8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8"), ("track", "<u8")])
_TRACK_ENTRY_BYTES = 8


def _points_binary(data: _Bytes) -> ColmapPoints:
    """Walks over the tracks for the record offsets only, then gathers all records at once."""
    count, size = data.take("Q")[0], _POINT.itemsize
    data.need(count * size)
    read_track, offset, end = struct.Struct("<Q").unpack_from, data.offset, len(data.data)
    offsets = np.empty(count, np.int64)
    for index in range(count):
        if offset + size > end:
            data.need(offset + size - data.offset)
        offsets[index] = offset
        offset += size + _TRACK_ENTRY_BYTES * read_track(data.data, offset + size - 8)[0]
        if offset > end:
            data.need(offset - data.offset)
    raw = np.frombuffer(data.data, np.uint8)
    records = np.empty((count, size), np.uint8)
    for byte in range(size):
        records[:, byte] = raw[offsets + byte]
    points = records.view(_POINT).reshape(count)
    return ColmapPoints(points["id"], points["xyz"], points["rgb"], points["error"])


def _points_text(text: _Text) -> ColmapPoints:
    rows = []
    for number, line in text.lines():
        fields = line.split(maxsplit=8)
        if not fields:
            continue
        try:
            rows.append([float(value) for value in fields[:8]])
            if len(rows[-1]) < 8:
                raise ValueError
        except ValueError as error:
            raise text.error(number, "ID X Y Z R G B ERROR TRACK...") from error
    table = np.array(rows, np.float64).reshape(-1, 8)
    return ColmapPoints(table[:, 0].astype(np.int64), table[:, 1:4], table[:, 4:7].astype(np.uint8), table[:, 7])
