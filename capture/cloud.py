"""The points a tracking starts from: matched points of all cameras, the visual hull of what moves, and the floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from capture.calibrate import Correspondences
from scene.scene_info import CameraInfo, PointCloud

MAX_ERROR_PX = 2.0  # of a triangulated point, in either camera, at 1000 px of picture width
MIN_ANGLE_DEG = 2.0
HULL_CELLS = (48, 112)  # along the longer side of the box: once to find where something is, then there in detail
HULL_AGREEMENT = 0.85  # share of the cameras which see a cell that must have it inside their mask
MIN_HULL_CAMERAS = 3
MIN_FLOOR_CAMERAS = 3
FLOOR_CELLS = 90  # along the side of the square of floor
STRAY_NEIGHBOURS = 4
FLOOR_COLOUR_SPREAD = 0.12  # median deviation of the cameras' colours up to which they see the same floor


@dataclass(frozen=True, eq=False)
class StageView:
    """What one camera saw at the first moment."""

    camera: CameraInfo  # pinhole
    image: np.ndarray  # [H, W, 3] uint8
    mask: np.ndarray | None = None  # [H, W] bool, what moves; None = not known


def project(camera: CameraInfo, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixel indices [P, 2] int (x, y; clipped into the picture), depths [P], and whether the camera sees each [P]."""
    seen = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    depth = np.where(seen[:, 2] > 1e-9, seen[:, 2], 1e-9)
    pixels = seen[:, :2] / depth[:, None] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    size = (camera.width, camera.height)
    inside = (seen[:, 2] > 1e-6) & ((pixels >= 0) & (pixels < size)).all(1)
    return np.clip(np.floor(np.clip(pixels, -1, 1e6)), 0, np.subtract(size, 1)).astype(int), seen[:, 2], inside


def triangulate(found: Correspondences, cameras: Sequence[CameraInfo], moments: Sequence[int]) -> np.ndarray:
    """Points [P, 3] of the matches of the given moments; `cameras` are those of the photographed pictures."""
    parts = [np.zeros((0, 3))]
    for (a, b), matches in found.matches.items():
        for moment in moments:
            rows = matches[moment]
            pixels = found.features[a][moment].pixels[rows[:, 0]], found.features[b][moment].pixels[rows[:, 1]]
            if len(rows):
                parts.append(_two_view_points(cameras[a], cameras[b], *pixels))
    return np.concatenate(parts)


def _two_view_points(a: CameraInfo, b: CameraInfo, pixels_a: np.ndarray, pixels_b: np.ndarray) -> np.ndarray:
    """Points in front of both cameras that project where they were seen, under a large enough angle."""
    flat = normalised(a, pixels_a), normalised(b, pixels_b)
    raw = cv2.triangulatePoints(a.world_to_camera[:3], b.world_to_camera[:3], flat[0].T, flat[1].T)
    with np.errstate(divide="ignore", invalid="ignore"):
        points = (raw[:3] / raw[3]).T
    points = np.nan_to_num(points, nan=0.0, posinf=0.0, neginf=0.0)
    good = np.ones(len(points), bool)
    for camera, seen in zip((a, b), flat, strict=True):
        local = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        depth = np.where(local[:, 2] > 1e-9, local[:, 2], 1e-9)
        error = np.linalg.norm((local[:, :2] / depth[:, None] - seen) * (camera.fx, camera.fy), axis=1)
        good &= (local[:, 2] > 1e-6) & (error < MAX_ERROR_PX * max(1.0, camera.width / 1000))
    towards = [_unit(points - camera.center) for camera in (a, b)]
    good &= (towards[0] * towards[1]).sum(1) < np.cos(np.radians(MIN_ANGLE_DEG))
    return points[good]


def normalised(camera: CameraInfo, pixels: np.ndarray) -> np.ndarray:
    """Pixels [M, 2] as points on the plane z = 1 of the camera, without distortion, [M, 2] float64."""
    flat = (pixels.astype(np.float64) - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    if not camera.distortion:
        return flat
    lens = np.array(camera.distortion)
    undo = cv2.fisheye.undistortPoints if camera.fisheye else cv2.undistortPoints
    return undo(flat[:, None], np.eye(3), lens)[:, 0]


def visual_hull(views: Sequence[StageView], middle: np.ndarray, reach: float) -> tuple[np.ndarray, float]:
    """Surface cells [P, 3] of the largest body inside the masks, and the size of a cell.

    Args:
        middle: [3] middle of the cube that is searched.
        reach: half its side.
    """
    low, high = middle - reach, middle + reach
    for cells in HULL_CELLS:
        side = float((high - low).max()) / cells
        counts = np.maximum(np.ceil((high - low) / side).astype(int), 1)
        grid = np.stack(np.meshgrid(*[np.arange(n) + 0.5 for n in counts], indexing="ij"), -1)
        inside = _inside_masks(views, low + grid.reshape(-1, 3) * side).reshape(counts)
        if not inside.any():
            return np.zeros((0, 3)), side
        full = np.argwhere(inside)
        last_low = low
        low, high = last_low + (full.min(0) - 1) * side, last_low + (full.max(0) + 2) * side
    return last_low + (np.argwhere(_surface(inside)) + 0.5) * side, side


def _inside_masks(views: Sequence[StageView], points: np.ndarray) -> np.ndarray:
    seen, hits = np.zeros(len(points), int), np.zeros(len(points), int)
    for view in views:
        pixels, _, visible = project(view.camera, points)
        seen += visible
        hits += visible & view.mask[pixels[:, 1], pixels[:, 0]]
    return (seen >= min(MIN_HULL_CAMERAS, len(views))) & (hits >= HULL_AGREEMENT * seen)


def _surface(inside: np.ndarray) -> np.ndarray:
    """Cells with a neighbour outside."""
    padded = np.pad(inside, 1)
    core = np.ones_like(inside)
    for axis in range(3):
        for step in (-1, 1):
            core &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
    return inside & ~core


def floor_points(views: Sequence[StageView], reach: float, min_cameras: int = MIN_FLOOR_CAMERAS) -> np.ndarray:
    """Points [P, 3] of the plane y = 0 that at least so many cameras see, and agree on the colour of.

    They are in a square around the origin whose half side is `reach`.
    """
    line = np.linspace(-reach, reach, FLOOR_CELLS)
    x, z = np.meshgrid(line, line)
    points = np.stack([x.ravel(), np.zeros(x.size), z.ravel()], 1)
    colours = np.full((len(views), len(points), 3), np.nan)
    for row, view in zip(colours, views, strict=True):
        pixels, _, visible = project(view.camera, points)
        if view.mask is not None:
            visible &= ~view.mask[pixels[:, 1], pixels[:, 0]]
        row[visible] = view.image[pixels[visible, 1], pixels[visible, 0]] / 255
    enough = (~np.isnan(colours[..., 0])).sum(0) >= min_cameras
    points, colours = points[enough], colours[:, enough]
    spread = np.nanmedian(np.abs(colours - np.nanmedian(colours, 0)).max(2), 0) if len(points) else np.zeros(0)
    return points[spread < FLOOR_COLOUR_SPREAD]


def without_strays(points: np.ndarray, distance: float) -> np.ndarray:
    """The points [P, 3] whose nearest ones are within this mean distance: a lonely one starts as a huge Gaussian."""
    if len(points) <= STRAY_NEIGHBOURS:
        return points
    return points[cKDTree(points).query(points, STRAY_NEIGHBOURS + 1)[0][:, 1:].mean(1) <= distance]


def visibility(views: Sequence[StageView], points: np.ndarray, cell: float) -> np.ndarray:
    """Whether each camera sees each point past the others, [C, P]: a depth buffer of blocks as wide as a cell."""
    rows = []
    for view in views:
        pixels, depth, inside = project(view.camera, points)
        block = max(2, round(1.5 * view.camera.fx * cell / max(float(np.median(depth)), 1e-9)))
        buffer = np.full((view.camera.height // block + 1, view.camera.width // block + 1), np.inf)
        at = (pixels[:, 1] // block, pixels[:, 0] // block)
        np.minimum.at(buffer, (at[0][inside], at[1][inside]), depth[inside])
        rows.append(inside & (depth <= buffer[at] + 3 * cell))
    return np.stack(rows)


def coloured_cloud(views: Sequence[StageView], points: np.ndarray, cell: float) -> PointCloud:
    """The points that some camera sees, with the colour of the nearest one and a vote of the masks of all of them."""
    seen = visibility(views, points, cell)
    points, seen = points[seen.any(0)], seen[:, seen.any(0)]
    depth = np.stack([np.linalg.norm(points - view.camera.center, axis=1) for view in views])
    nearest = np.where(seen, depth, np.inf).argmin(0)
    colours, votes = np.zeros((len(points), 3)), np.zeros(len(points))
    for index, view in enumerate(views):
        pixels = project(view.camera, points)[0]
        mine = nearest == index
        colours[mine] = view.image[pixels[mine, 1], pixels[mine, 0]] / 255
        if view.mask is not None:
            votes += seen[index] & view.mask[pixels[:, 1], pixels[:, 0]]
    known = all(view.mask is not None for view in views)
    foreground = (votes >= 0.5 * seen.sum(0)).astype(np.float32) if known else np.ones(len(points), np.float32)
    return PointCloud(points.astype(np.float32), colours.astype(np.float32), foreground)


def thinned(points: np.ndarray, cell: float, limit: int) -> np.ndarray:
    """One point of every cube of side `cell`, and of those at most `limit`, evenly taken."""
    if len(points) == 0:
        return points
    keys = np.floor(points / cell).astype(np.int64)
    kept = points[np.sort(np.unique(keys, axis=0, return_index=True)[1])]
    return kept[np.linspace(0, len(kept) - 1, min(limit, len(kept))).round().astype(int)]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
