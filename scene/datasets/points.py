"""The point cloud that a data set without one of its own may have been given."""

from __future__ import annotations

from pathlib import Path

from scene.formats.ply import read_points
from scene.scene_info import PointCloud

FILE_NAMES = ("points3D.ply", "points3d.ply")


def find_points(folder: Path) -> PointCloud | None:
    """`points3D.ply` or `points3d.ply` of a folder; None if there is neither or it is empty."""
    path = next((folder / name for name in FILE_NAMES if (folder / name).is_file()), None)
    cloud = None if path is None else read_points(path)
    return cloud if cloud is not None and len(cloud) > 0 else None
