"""The world's axes and unit: floor at y = 0, y down, the stage in the middle, metres if the scale is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scene.scene_info import CameraInfo
from utils.errors import UserError

TRIALS = 500
FLOOR_TOLERANCE = 0.01  # of the distance of the cameras from the stage
MAX_FLOOR_TILT_DEG = 50.0  # between the floor's normal and the mean up of the cameras
MIN_FLOOR_SHARE = 0.1  # of the points that a floor must hold


@dataclass(frozen=True, eq=False)
class World:
    """How old coordinates become new ones: x' = scale * rotation @ x + shift."""

    rotation: np.ndarray  # [3, 3]
    shift: np.ndarray  # [3] new units
    scale: float = 1.0
    floor_share: float = 0.0
    """Share of the points that lie on the floor; 0 = no floor was found, its height is not known."""
    is_metric: bool = False

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points [P, 3] in the new world."""
        return self.scale * points @ self.rotation.T + self.shift

    def camera(self, camera: CameraInfo) -> CameraInfo:
        """The camera in the new world; the pictures stay the same."""
        pose = np.eye(4)
        pose[:3, :3] = camera.world_to_camera[:3, :3] @ self.rotation.T
        pose[:3, 3] = self.scale * camera.world_to_camera[:3, 3] - pose[:3, :3] @ self.shift
        return replace(camera, world_to_camera=pose)


AS_IT_IS = World(np.eye(3), np.zeros(3))


def find_world(cameras: Sequence[CameraInfo], points: np.ndarray, scale: float, is_metric: bool) -> World:
    """Axes from the floor under the cameras' common point of view.

    Args:
        points: [P, 3] still points.
        scale: new units per old unit.
    """
    middle = meeting_point(cameras)
    down = mean_down(cameras)
    centers = np.stack([camera.center for camera in cameras])
    reach = float(np.median(np.linalg.norm(centers - middle, axis=1)))
    near = points[np.linalg.norm(points - middle, axis=1) < reach]
    floor = find_floor(near, down, centers, FLOOR_TOLERANCE * reach)
    normal, height, share = floor if floor is not None else (down, float(middle @ down), 0.0)
    rotation = _rotation_to_y(normal, cameras[0].world_to_camera[0, :3])
    origin = middle + (height - middle @ normal) * normal  # on the floor, below or above the middle
    return World(rotation, -scale * rotation @ origin, scale, share, is_metric)


def meeting_point(cameras: Sequence[CameraInfo]) -> np.ndarray:
    """The point nearest to all optical axes (least squares), [3]."""
    total, target = np.zeros((3, 3)), np.zeros(3)
    for camera in cameras:
        axis = camera.world_to_camera[2, :3]
        across = np.eye(3) - np.outer(axis, axis)
        total += across
        target += across @ camera.center
    return np.linalg.lstsq(total, target, rcond=1e-6)[0]


def mean_down(cameras: Sequence[CameraInfo]) -> np.ndarray:
    """Unit vector that the cameras agree to be below: at right angles to most x axes, on the side of the y axes."""
    below = np.sum([camera.world_to_camera[1, :3] for camera in cameras], axis=0)
    across = np.stack([camera.world_to_camera[0, :3] for camera in cameras])
    _, spread, directions = np.linalg.svd(across)
    down = directions[-1] if len(spread) == 3 and spread[1] > 0.2 * spread[0] else below
    down = down if down @ below > 0 else -down
    return down / np.linalg.norm(down)


def find_floor(
    points: np.ndarray, down: np.ndarray, centers: np.ndarray, tolerance: float
) -> tuple[np.ndarray, float, float] | None:
    """(unit normal pointing down, height along it, share of points on it) of the floor by RANSAC; None = none.

    The floor lies below all cameras and hardly tilted against `down`; of planes with many points the one with most.
    """
    if len(points) < 10:
        return None
    rng, best, count = np.random.default_rng(0), None, 0
    for _ in range(TRIALS):
        a, b, c = points[rng.choice(len(points), 3, replace=False)]
        plane = _plane(np.cross(b - a, c - a), a, down)
        if plane is None or (centers @ plane[0] > plane[1]).any():
            continue
        inside = np.abs(points @ plane[0] - plane[1]) < tolerance
        if inside.sum() > count:
            best, count = inside, int(inside.sum())
    if best is None or count < MIN_FLOOR_SHARE * len(points):
        return None
    middle = points[best].mean(0)
    plane = _plane(np.linalg.svd(points[best] - middle)[2][-1], middle, down)
    return None if plane is None else (*plane, count / len(points))


def _plane(normal: np.ndarray, point: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, float] | None:
    """(unit normal on the side of `down`, height) unless it is too tilted."""
    length = np.linalg.norm(normal)
    if length < 1e-12 or abs(normal @ down) < np.cos(np.radians(MAX_FLOOR_TILT_DEG)) * length:
        return None
    normal = normal / length * np.sign(normal @ down)
    return normal, float(point @ normal)


def _rotation_to_y(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Rotation that takes `down` to +y and `right`, as far as possible, to +x."""
    right = right - (right @ down) * down
    right = right / np.linalg.norm(right)
    return np.stack([right, down, np.cross(right, down)])


def scale_from_baseline(cameras: Sequence[CameraInfo], names: Sequence[str], first: str, second: str, metres: float):
    """Metres per unit, from the distance between two cameras."""
    unknown = [name for name in (first, second) if name not in names]
    if unknown or first == second or metres <= 0:
        raise UserError(
            f"--baseline {first} {second} {metres:g}: expected two different cameras of {', '.join(names)} and a "
            "positive distance; correct it"
        )
    a, b = (cameras[names.index(name)].center for name in (first, second))
    return metres / float(np.linalg.norm(a - b))
