"""The initial cloud of a rig: `init_pt_cld.npz`, array `data` with columns x y z, r g b, seg."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ndraster.constants import NEAR_DEFAULT

from scene.datasets.arrays import load_arrays
from scene.scene_info import CameraInfo, DatasetError, PointCloud

FILE_NAME = "init_pt_cld.npz"
LARGEST_SHARE = 1.5  # numbers above that are 0..255, not 0..1
EXPECTED_AHEAD = 0.95  # in front of two cameras
EXPECTED_INSIDE = 0.5  # in a picture
_MAX_TESTED = 20_000


def read_cloud(path: Path) -> tuple[PointCloud | None, list[str]]:
    """The points, and notes; None where the file is missing or has no usable point.

    Colours of 0..255 are divided, rows with NaN are dropped; without the column `seg` nothing is known of what moves.
    """
    if not path.is_file():
        return None, [f"{path}: no such file; starting at random points, which often fails for a rig"]
    rows = load_arrays(path).get("data")
    if rows is None or rows.ndim != 2 or rows.shape[1] not in (6, 7) or rows.dtype.kind not in "fiu":
        found = "no array data" if rows is None else f"data of {rows.dtype} {list(rows.shape)}"
        raise DatasetError(f"{path}: has {found}; expected data with columns x y z r g b seg, write it again")
    rows = rows.astype(np.float32)
    finite = np.isfinite(rows).all(axis=1)
    notes = [] if finite.all() else [f"{path}: dropped {int((~finite).sum())} points that are not finite"]
    if not finite.any():
        return None, [*notes, f"{path}: has no points; starting at random"]
    rows = rows[finite]
    colors, more = _shares(rows[:, 3:6], "colours", path)
    notes += more
    if rows.shape[1] == 6:
        notes.append(f"{path}: has no column seg; which points may move is not known")
        return PointCloud(rows[:, :3], colors), notes
    foreground, more = _shares(rows[:, 6], "seg", path)
    return PointCloud(rows[:, :3], colors, foreground), notes + more


def _shares(values: np.ndarray, what: str, path: Path) -> tuple[np.ndarray, list[str]]:
    """The values as 0..1, and a note if they were 0..255."""
    largest = float(values.max())
    if largest <= LARGEST_SHARE:
        return values.clip(0, 1), []
    return (values / 255).clip(0, 1), [f"{path}: {what} reach {largest:g}; taken as 0..255 and divided"]


def sight_notes(cloud: PointCloud, cameras: Sequence[CameraInfo], path: Path) -> list[str]:
    """Warnings if many points are nearer than the near plane or in no picture: wrong units or poses.

    Args:
        cloud: the initial points.
        cameras: those of the first moment.
        path: of the cloud, for the message.
    """
    points = cloud.positions[:: -(-len(cloud) // _MAX_TESTED)].astype(np.float64)
    seen = [_sight(camera, points) for camera in cameras]
    ahead = sum(beyond.astype(int) for beyond, _ in seen) >= min(2, len(cameras))
    inside = np.any([within for _, within in seen], axis=0)
    advice = "check the units and the poses"
    if ahead.mean() < EXPECTED_AHEAD:
        return [
            f"{path}: only {100 * ahead.mean():.0f} % of the points are more than {NEAR_DEFAULT:g} in front of two "
            f"cameras; expected {100 * EXPECTED_AHEAD:.0f} %, {advice}"
        ]
    if inside.mean() < EXPECTED_INSIDE:
        return [f"{path}: only {100 * inside.mean():.0f} % of the points are in a picture; expected most, {advice}"]
    return []


def _sight(camera: CameraInfo, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[P] bool twice: the point [P, 3] is beyond the near plane; it is so and in the picture, hidden or not."""
    x, y, z = camera.world_to_camera[:3, :3] @ points.T + camera.world_to_camera[:3, 3:]
    ahead, safe = z > NEAR_DEFAULT, np.maximum(z, NEAR_DEFAULT)
    u, v = camera.fx * x / safe + camera.cx, camera.fy * y / safe + camera.cy
    return ahead, ahead & (u >= 0) & (u <= camera.width) & (v >= 0) & (v <= camera.height)
