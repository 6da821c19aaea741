"""A COLMAP model of a procedural scene: surface points with tracks, and the three binary files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from examples.raytracer import View, World, ground_truth, is_visible
from utils.files import atomic_path
from utils.transforms import matrix_to_quaternion

PINHOLE = 1  # COLMAP's model id; parameters fx, fy, cx, cy
PIXEL_NOISE = 0.3  # standard deviation of an observation, px
MATCH_ANGLE_DEG = 35.0  # a feature is found again up to this change of viewing direction ...
FEW_VIEWS_ANGLE_DEG = 500.0  # ... or this over the number of views, so that a handful of views still match
MATCH_RATE = 0.75  # share of the possible observations that are made


@dataclass(frozen=True)
class SparseCloud:
    """Points and who sees them where."""

    positions: np.ndarray  # [P, 3]
    colors: np.ndarray  # [P, 3] uint8
    errors: np.ndarray  # [P] mean reprojection error, px
    views: np.ndarray  # [K] index of the view of every observation
    points: np.ndarray  # [K] index of its point
    pixels: np.ndarray  # [K, 2] where, px (pixel centres at +0.5)


def sparse_cloud(
    world: World, views: Sequence[View], images: Sequence[np.ndarray], rng: np.random.Generator, count: int = 4000
) -> SparseCloud:
    """What structure from motion would find: `count` candidates at textured pixels, seen in two views or more."""
    true, origin = _candidates(world, views, images, count, rng)
    seen, pixels = _observations(world, views, true, origin, rng)  # [V, P], [V, P, 2]
    keep = seen.sum(0) >= 2
    true, seen, pixels = true[keep], seen[:, keep], pixels[:, keep]
    depth = np.stack([view.project(true)[1] for view in views])
    focal = np.array([view.focal_px for view in views])[:, None]
    length = seen.sum(0)
    spread = np.where(seen, depth / focal, 0).sum(0) / length * PIXEL_NOISE / np.sqrt(length)
    positions = true + rng.normal(size=true.shape) * spread[:, None]
    noisy = pixels + rng.normal(size=pixels.shape) * PIXEL_NOISE
    error = np.stack([np.linalg.norm(v.project(positions)[0] - noisy[i], axis=1) for i, v in enumerate(views)])
    view_index, point_index = np.nonzero(seen)
    return SparseCloud(
        positions,
        _mean_colours(images, seen, pixels),
        np.where(seen, error, 0).sum(0) / length,
        view_index,
        point_index,
        noisy[view_index, point_index],
    )


def _candidates(world: World, views: Sequence[View], images: Sequence[np.ndarray], count: int, rng):
    """Surface points [P, 3] under pixels with contrast, and the viewing direction [P, 3] they were found from."""
    points, directions = [], []
    for view, image in zip(views, images, strict=True):
        grey = image.astype(np.float64).mean(axis=2)
        contrast = np.hypot(*np.gradient(grey)).reshape(-1)
        weight = contrast + 0.15 * contrast.mean() + 1e-9
        _, depth = ground_truth(world, view)
        weight = weight * (depth.reshape(-1) > 0)
        share = min(-(-count // len(views)), int((weight > 0).sum()))
        chosen = rng.choice(weight.size, share, replace=False, p=weight / weight.sum())
        rays = view.rays((0.5, 0.5))[chosen]
        forward = rays @ view.world_to_camera[2, :3]
        points.append(view.center + rays * (depth.reshape(-1)[chosen].astype(np.float64) / forward)[:, None])
        directions.append(rays)
    return np.concatenate(points), np.concatenate(directions)


def _observations(world: World, views: Sequence[View], points: np.ndarray, origin: np.ndarray, rng):
    """Which view observes which point [V, P] and the exact pixels [V, P, 2]."""
    limit_deg = min(max(MATCH_ANGLE_DEG, FEW_VIEWS_ANGLE_DEG / len(views)), 180)
    seen, pixels = [], []
    for view in views:
        rays = points - view.center
        cosine = np.einsum("ij,ij->i", rays, origin) / np.linalg.norm(rays, axis=1)
        found = is_visible(world, view, points) & (cosine > np.cos(np.radians(limit_deg)))
        seen.append(found & (rng.random(len(points)) < MATCH_RATE))
        pixels.append(view.project(points)[0])
    return np.stack(seen), np.stack(pixels)


def _mean_colours(images: Sequence[np.ndarray], seen: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    total = np.zeros((seen.shape[1], 3))
    for image, found, place in zip(images, seen, pixels, strict=True):
        x, y = np.floor(place[found]).astype(int).T
        total[found] += image[np.clip(y, 0, image.shape[0] - 1), np.clip(x, 0, image.shape[1] - 1)]
    return np.round(total / seen.sum(0)[:, None]).astype(np.uint8)


def write_model(folder: Path, views: Sequence[View], names: Sequence[str], cloud: SparseCloud) -> None:
    """Write cameras.bin, images.bin and points3D.bin (one shared camera; ids from 1; COLMAP's documented layout)."""
    slots = np.empty(len(cloud.views), int)  # number of every observation within its picture
    for index in range(len(views)):
        mine = cloud.views == index
        slots[mine] = np.arange(mine.sum())
    _write(folder / "cameras.bin", _cameras(views))
    _write(folder / "images.bin", _images(views, names, cloud))
    _write(folder / "points3D.bin", _points(cloud, slots))


def _write(path: Path, data: bytes) -> None:
    with atomic_path(path) as temp:
        temp.write_bytes(data)


def _cameras(views: Sequence[View]) -> bytes:
    view = views[0]
    parameters = (view.focal_px, view.focal_px, view.width / 2, view.height / 2)
    return struct.pack("<QiiQQ4d", 1, 1, PINHOLE, view.width, view.height, *parameters)


def _images(views: Sequence[View], names: Sequence[str], cloud: SparseCloud) -> bytes:
    parts = [struct.pack("<Q", len(views))]
    record = np.dtype([("xy", "<f8", 2), ("point", "<i8")])
    for index, (view, name) in enumerate(zip(views, names, strict=True)):
        quaternion = matrix_to_quaternion(torch.from_numpy(view.world_to_camera[:3, :3])).tolist()
        parts.append(struct.pack("<i7di", index + 1, *quaternion, *view.world_to_camera[:3, 3], 1))
        mine = cloud.views == index
        rows = np.zeros(int(mine.sum()), record)
        rows["xy"], rows["point"] = cloud.pixels[mine], cloud.points[mine] + 1
        parts += [name.encode() + b"\0", struct.pack("<Q", len(rows)), rows.tobytes()]
    return b"".join(parts)


def _points(cloud: SparseCloud, slots: np.ndarray) -> bytes:
    parts = [struct.pack("<Q", len(cloud.positions))]
    order = np.argsort(cloud.points, kind="stable")
    tracks = np.split(order, np.cumsum(np.bincount(cloud.points, minlength=len(cloud.positions)))[:-1])
    for index, track in enumerate(tracks):
        parts.append(struct.pack("<Q3d3Bd", index + 1, *cloud.positions[index], *cloud.colors[index].tolist(),
                                 cloud.errors[index]))  # fmt: skip
        pairs = np.stack([cloud.views[track] + 1, slots[track]], axis=1).astype("<i4")
        parts += [struct.pack("<Q", len(track)), pairs.tobytes()]
    return b"".join(parts)
