"""Cameras of a synchronised rig in the layout of Dynamic 3D Gaussians: `train_meta.json`, `test_meta.json`.

Schema (Luiten et al. 2024, their data): `w`, `h`, and for each of T moments a list of C entries `fn` (picture below
`ims/`), `cam_id`, `k` (3x3, pixels, centres at +0.5) and `w2c` (4x4, OpenCV axes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from scene.datasets.arrays import checked_array
from scene.datasets.pictures import few
from scene.datasets.poses import checked_pose
from scene.scene_info import DatasetError
from utils.files import read_json

_NEGLIGIBLE_SKEW = 1e-6  # of the focal length


@dataclass(frozen=True, eq=False)
class RigMeta:
    """C cameras at T moments; column c is the same camera at all of them."""

    path: Path
    width: int
    height: int
    names: tuple[tuple[str, ...], ...]  # [T][C] picture below `ims/`
    camera_ids: tuple[int, ...]  # [C]
    intrinsics: np.ndarray  # [T, C, 3, 3] float64, px at width x height
    poses: np.ndarray  # [T, C, 4, 4] float64, world to camera
    notes: tuple[str, ...] = ()

    @property
    def num_moments(self) -> int:
        return len(self.names)


def read_meta(path: Path, num_frames: int = 0) -> RigMeta:
    """The cameras of one file, checked; `k`, `w2c` and `cam_id` may be given once for all moments.

    Args:
        path: `train_meta.json` or `test_meta.json`.
        num_frames: keep the first so many moments; 0 = all.

    Raises:
        DatasetError: one line about what is wrong with the file.
    """
    table = read_json(path)
    if not isinstance(table, Mapping):
        raise DatasetError(f"{path}: is no table; expected the entries w, h, fn, cam_id, k and w2c, write it again")
    width, height = (_side(table.get(key), f"{path}: {key}") for key in ("w", "h"))
    names = _names(table.get("fn"), path)
    shape = len(names), len(names[0])
    ids = _per_moment(table.get("cam_id"), shape, (), f"{path}: cam_id")
    intrinsics = _per_moment(table.get("k"), shape, (3, 3), f"{path}: k")
    poses = _per_moment(table.get("w2c"), shape, (4, 4), f"{path}: w2c")
    keep = slice(num_frames or None)
    ids, names, intrinsics, poses = ids[keep], names[keep], intrinsics[keep], poses[keep]
    order, notes = _order(ids, path)
    names = tuple(tuple(row[column] for column in columns) for row, columns in zip(names, order, strict=True))
    intrinsics, poses = (np.take_along_axis(x, order[:, :, None, None], axis=1) for x in (intrinsics, poses))
    notes += _check_intrinsics(intrinsics, names, (width, height), path)
    poses = _checked_poses(poses, names, path)
    return RigMeta(path, width, height, names, tuple(ids[0].astype(int).tolist()), intrinsics, poses, tuple(notes))


def _side(value: object, what: str) -> int:
    """A picture's width or height in px."""
    side = float(checked_array(value, (), what))
    if side < 1 or side != int(side):
        raise DatasetError(f"{what} is {side:g}; expected a whole number of pixels, correct it")
    return int(side)


def _names(value: object, path: Path) -> tuple[tuple[str, ...], ...]:
    """The pictures [T][C], all inside the folder."""
    rows = value if isinstance(value, list) else []
    if not rows or not all(isinstance(row, list) and row for row in rows):
        raise DatasetError(f"{path}: fn is no list of lists; expected for each moment the pictures of all cameras")
    if not all(isinstance(name, str) and name for row in rows for name in row):
        raise DatasetError(f"{path}: fn holds something else than names; expected names such as 17/000042.jpg")
    counts = sorted({len(row) for row in rows})
    if len(counts) > 1:
        raise DatasetError(
            f"{path}: moments have {counts[0]} to {counts[-1]} pictures; expected every camera at every moment, "
            "drop the others"
        )
    names = tuple(tuple(name.replace("\\", "/") for name in row) for row in rows)
    outside = [name for row in names for name in row if name.startswith("/") or ".." in PurePosixPath(name).parts]
    if outside:
        raise DatasetError(f"{path}: fn leads out of ims/ ({few(outside)}); expected names such as 17/000042.jpg")
    return names


def _per_moment(value: object, shape: tuple[int, int], item: tuple[int, ...], what: str) -> np.ndarray:
    """Finite numbers [T, C, *item], also where they are given once, [C, *item]."""
    depth, inner = 0, value
    while isinstance(inner, list) and inner:
        depth, inner = depth + 1, inner[0]
    given = shape[1:] if depth == len(item) + 1 else shape
    return np.broadcast_to(checked_array(value, (*given, *item), what), (*shape, *item))


def _order(ids: np.ndarray, path: Path) -> tuple[np.ndarray, list[str]]:
    """Columns [T, C] that put every moment into the order of the first one, and a note if that changes something."""
    if (ids != ids.round()).any() or (ids < 0).any():
        raise DatasetError(f"{path}: cam_id holds {ids.min():g} to {ids.max():g}; expected whole numbers from 0")
    if len(set(ids[0])) < ids.shape[1]:
        raise DatasetError(f"{path}: cam_id names a camera twice at one moment; expected each once, drop the others")
    other = [t for t, row in enumerate(ids) if set(row) != set(ids[0])]
    if other:
        raise DatasetError(
            f"{path}: cam_id at moment {other[0]} names other cameras than at moment 0; expected the same ones at all "
            "moments, drop those that are not always there"
        )
    ranks = np.argsort(ids, axis=1)
    order = np.empty_like(ranks)
    order[:, ranks[0]] = ranks
    turned = int((order != np.arange(ids.shape[1])).any(axis=1).sum())
    return order, [
        f"{path}: cameras stand in another order at {turned} moments; put in that of the first"
    ] if turned else []


def _check_intrinsics(k: np.ndarray, names: tuple[tuple[str, ...], ...], size: tuple[int, int], path: Path):
    """Notes about `k` [T, C, 3, 3]; focal lengths that are not positive are an error."""
    focal = np.stack((k[..., 0, 0], k[..., 1, 1]), axis=-1)
    if (focal <= 0).any():
        moment, column = np.argwhere((focal <= 0).any(axis=-1))[0]
        fx, fy = focal[moment, column]
        raise DatasetError(f"{path}: k of {names[moment][column]} has fx {fx:g}, fy {fy:g}; expected positive numbers")
    notes = []
    if (np.abs(k[..., 0, 1]) > _NEGLIGIBLE_SKEW * focal[..., 0]).any():
        notes.append(f"{path}: k has skew, which is ignored")
    centre = k[..., :2, 2]
    if ((centre < 0) | (centre > np.array(size))).any():
        notes.append(
            f"{path}: principal points lie outside of the {size[0]}x{size[1]} pictures; is k for another size?"
        )
    return notes


def _checked_poses(poses: np.ndarray, names: tuple[tuple[str, ...], ...], path: Path) -> np.ndarray:
    """The poses [T, C, 4, 4] with exact rotations; those that did not change are checked once."""
    checked = np.empty_like(poses)
    for t, row in enumerate(poses):
        for c, pose in enumerate(row):
            still = t > 0 and np.array_equal(pose, poses[t - 1, c])
            checked[t, c] = checked[t - 1, c] if still else checked_pose(pose, f"{path}: w2c of {names[t][c]}")
    return checked
