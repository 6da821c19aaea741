"""A ring of cameras around a floor with a box above it: exact, without rendering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from capture.cloud import StageView
from scene.scene_info import CameraInfo
from utils.transforms import look_at

WIDTH, HEIGHT, FOCAL = 96, 64, 80.0


def ring(count: int = 6, radius: float = 3.0, height: float = 1.5) -> list[CameraInfo]:
    """Cameras that look at (0, -0.3, 0) of a world with y down and its floor at y = 0."""
    return [_camera(index, 2 * np.pi * index / count, radius, height + 0.3 * (index % 2)) for index in range(count)]


def _camera(index: int, angle: float, radius: float, height: float) -> CameraInfo:
    eye = (radius * np.cos(angle), -height, radius * np.sin(angle))
    vectors = [torch.tensor(v, dtype=torch.float64) for v in (eye, (0.0, -0.3, 0.0), (0.0, -1.0, 0.0))]
    pose = look_at(*vectors).numpy()
    name = f"cam_{index:02d}"
    return CameraInfo(name, Path(name), pose, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT, camera_id=index)


def exact(camera: CameraInfo, points: np.ndarray) -> np.ndarray:
    """Pixels [P, 2] of points, not rounded."""
    seen = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    return seen[:, :2] / seen[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)


def ball_views(cameras: list[CameraInfo], middle: np.ndarray, radius: float) -> list[StageView]:
    """A red ball on grey, with its exact mask."""
    views = []
    for camera in cameras:
        x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
        flat = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1)
        rays = flat @ camera.world_to_camera[:3, :3]
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        away = middle - camera.center
        mask = np.linalg.norm(away - (rays @ away)[..., None] * rays, axis=-1) < radius
        image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        image[mask] = (220, 20, 20)
        views.append(StageView(camera, image, mask))
    return views
