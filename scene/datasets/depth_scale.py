"""Scale and offset that turn relative inverse depths of single pictures into those of a COLMAP reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from scene.datasets.colmap_model import ColmapCamera, ColmapImage, Ending, read_cameras, read_images, read_points3d
from scene.datasets.depths import FULL_SCALE, Alignment, stem_of
from scene.datasets.poses import rotation_from_quaternion
from scene.scene_info import DatasetError
from utils.image_io import read_values

MIN_POINTS = 10  # more than so many must lie in a picture
MIN_RANGE = 1e-3  # of the inverse depths of its points, relative to their median
UNUSABLE = Alignment(0.0, 0.0)


@dataclass(frozen=True)
class Alignments:
    """What was found for the pictures of a model."""

    by_name: dict[str, Alignment]
    """By image name without extension; scale 0 = the map does not fit."""
    unmapped: tuple[str, ...]
    """Images without a map."""
    reversed: tuple[str, ...]
    """Images whose map rises where inverse depth falls."""


def align_maps(model: Path, maps: Path, prefer: Ending = "bin") -> Alignments:
    """Align the maps of all images of a COLMAP model with its points (Kerbl et al. 2024, hierarchical 3DGS).

    Args:
        model: folder of cameras, images and points3D.
        maps: folder of `<image name without extension>.png`, 16 or 8 bits, larger = nearer.
        prefer: of binary and text files, if both are there.
    """
    cameras, images, points = read_cameras(model, prefer), read_images(model, prefer), read_points3d(model, prefer)
    if points is None or not len(points.ids):
        raise DatasetError(f"{model}: no points3D to align depths with; expected a sparse reconstruction; run COLMAP")
    order = np.argsort(points.ids)
    ids, positions = points.ids[order], points.positions[order]
    found, unmapped, backwards = {}, [], []
    for image in images:
        name = stem_of(image.name.replace("\\", "/"))
        path = maps / f"{name}.png"
        if path.is_file():
            inverse, relative = samples(image, cameras[image.camera_id], ids, positions, read_values(path) / FULL_SCALE)
            found[name] = aligned(inverse, relative)
            backwards += [image.name] if runs_backwards(inverse, relative) else []
        else:
            unmapped.append(image.name)
    if not found:
        example = stem_of(unmapped[0]) if unmapped else "IMAGE"
        raise DatasetError(f"{maps}: no map of any of the {len(images)} images; expected e.g. {example}.png")
    return Alignments(found, tuple(unmapped), tuple(backwards))


def samples(
    image: ColmapImage,
    camera: ColmapCamera,
    ids: np.ndarray,  # [P] rising
    positions: np.ndarray,  # [P, 3]
    values: np.ndarray,  # [h, w] float32 of the map
) -> tuple[np.ndarray, np.ndarray]:
    """Inverse depths [M] of the points that an image sees in front of it, and what its map says there [M]."""
    seen = image.point_ids >= 0
    place = np.searchsorted(ids, image.point_ids[seen]).clip(0, len(ids) - 1)
    known = ids[place] == image.point_ids[seen]
    world, pixels = positions[place[known]], image.keypoints[seen][known]
    depth = world @ rotation_from_quaternion(image.quaternion_wxyz)[2] + image.translation[2]
    height, width = values.shape
    spots = pixels * (width / camera.width, height / camera.height) - 0.5  # pixel centres at whole numbers
    inside = (spots >= 0).all(1) & (spots[:, 0] <= width - 1) & (spots[:, 1] <= height - 1)
    valid = inside & np.isfinite(depth) & (depth > 0)
    if not valid.any():
        return np.zeros(0), np.zeros(0)
    x, y = (np.ascontiguousarray(spots[valid, axis], np.float32)[:, None] for axis in (0, 1))
    return 1 / depth[valid], cv2.remap(values, x, y, cv2.INTER_LINEAR)[:, 0].astype(np.float64)


def aligned(inverse: np.ndarray, relative: np.ndarray) -> Alignment:
    """Scale and offset by medians and mean distances from them; unusable where there are too few points or no range.

    scale = mean |inverse - median| / mean |relative - median|, offset = median inverse - scale * median relative.
    """
    if len(inverse) <= MIN_POINTS or np.ptp(inverse) <= MIN_RANGE * np.median(inverse):
        return UNUSABLE
    middle, middle_relative = np.median(inverse), np.median(relative)
    spread = np.abs(relative - middle_relative).mean()
    if spread <= 0 or runs_backwards(inverse, relative):
        return UNUSABLE
    scale = np.abs(inverse - middle).mean() / spread
    return Alignment(float(scale), float(middle - scale * middle_relative))


def runs_backwards(inverse: np.ndarray, relative: np.ndarray) -> bool:
    """Whether a map clearly falls where inverse depth rises: then it holds depths, or nothing of use."""
    if len(inverse) <= MIN_POINTS or np.ptp(relative) <= 0 or np.ptp(inverse) <= 0:
        return False
    return bool(np.corrcoef(inverse, relative)[0, 1] < 0)
