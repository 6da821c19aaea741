"""Projection matrices in `cameras_sphere.npz`: DTU as NeuS prepares it, and Tensor4D with a time per picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.linalg import rq

from scene.datasets import DATASETS, ReadOptions
from scene.datasets.arrays import checked_array, load_arrays
from scene.datasets.pictures import image_size, pictures_in
from scene.datasets.points import find_points
from scene.datasets.poses import checked_pose
from scene.datasets.split import split_cameras
from scene.datasets.times import with_times
from scene.scene_info import CameraInfo, DatasetError, SceneInfo

FILE_NAME = "cameras_sphere.npz"
RANDOM_BOX = ((-1.0,) * 3, (1.0,) * 3)
"""The scale matrices bring the object into the unit sphere."""


@DATASETS.register("dtu", priority=18)
class DtuReader:
    """Pictures in `image/`, one `world_mat_i` and `scale_mat_i` for each; `fid_i` numbers the moments."""

    def missing(self, folder: Path) -> str | None:
        """See `DatasetReader`."""
        return None if (folder / FILE_NAME).is_file() else f"no {FILE_NAME}"

    def read(self, folder: Path, options: ReadOptions) -> SceneInfo:
        """Reads all pictures, in the coordinates of the unit sphere; test views are every `llffhold`-th by name."""
        source = folder / FILE_NAME
        arrays = load_arrays(source)
        pictures, masks = pictures_in(folder / "image"), pictures_in(folder / "mask")
        count = sum(name.startswith("world_mat_") and name[10:].isdecimal() for name in arrays)
        if not pictures or len(pictures) != count or len(masks) not in (0, count):
            found = f"{count} cameras, {len(pictures)} pictures in image/, {len(masks)} in mask/"
            raise DatasetError(f"{folder}: has {found}; expected equal numbers (mask/ may be empty), copy it again")
        cameras = [
            _camera_info(projection(arrays, index, source), path, masks[index] if masks else None, f"{source} {index}")
            for index, path in enumerate(pictures)
        ]
        train, test = split_cameras(with_times(cameras, _numbers(arrays, count, source)), options)
        return SceneInfo(train, test, find_points(folder), folder, "dtu", random_box=RANDOM_BOX)


def projection(arrays: Mapping[str, np.ndarray], index: int, source: Path) -> np.ndarray:
    """Projection [3, 4] of a picture: world_mat times scale_mat."""
    names = (f"world_mat_{index}", f"scale_mat_{index}")
    world, scale = (checked_array(arrays.get(name), (4, 4), f"{source}: {name}") for name in names)
    return (world @ scale)[:3]


def decompose(matrix: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    """(intrinsics [3, 3] with a 1 in the corner, world_to_camera [4, 4]) of a projection [3, 4] of any length.

    Hartley & Zisserman, Multiple View Geometry, 6.2.4.
    """
    left = matrix[:, :3]
    if abs(np.linalg.det(left)) <= 1e-12 * np.linalg.norm(left) ** 3:
        raise DatasetError(f"{source}: the projection is singular; expected a camera, copy the file again")
    intrinsics, rotation = rq(left * np.sign(np.linalg.det(left)))
    signs = np.diag(np.sign(np.diag(intrinsics)))
    intrinsics, rotation = intrinsics @ signs, signs @ rotation
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = rotation @ np.linalg.solve(left, matrix[:, 3])
    return intrinsics / intrinsics[2, 2], checked_pose(pose, source)


def _camera_info(matrix: np.ndarray, path: Path, mask: Path | None, source: str) -> CameraInfo:
    intrinsics, pose = decompose(matrix, source)
    width, height = image_size(path)
    return CameraInfo(
        image_name=path.name,
        image_path=path,
        world_to_camera=pose,
        fx=float(intrinsics[0, 0]),
        fy=float(intrinsics[1, 1]),
        cx=float(intrinsics[0, 2]) + 0.5,  # the matrices count pixel centres from 0
        cy=float(intrinsics[1, 2]) + 0.5,
        width=width,
        height=height,
        mask_path=mask,
    )


def _numbers(arrays: Mapping[str, np.ndarray], count: int, source: Path) -> list[float]:
    """Number of the moment of each picture; all 0 in a data set without."""
    names = [f"fid_{index}" for index in range(count)]
    if not any(name in arrays for name in names):
        return [0.0] * count
    return [float(checked_array(np.squeeze(arrays.get(name)), (), f"{source}: {name}")) for name in names]
