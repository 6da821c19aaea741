"""Cameras of browsers: where a visitor stands, which photograph was taken there, and where to start from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gaussian_renderer.trajectories import level_up, scene_centre
from scene.cameras import Camera
from utils.transforms import fov_to_focal, invert_rigid, look_at, matrix_to_quaternion, quaternion_to_matrix

SAME_PLACE = 2e-3  # of the distance to what is looked at, within which two centres are one
SAME_ANGLE_RAD = 2e-3
VANTAGES = 8  # made-up views of a file without cameras
VANTAGE_DISTANCE = 2.5  # in radii of the scene
VANTAGE_SIZE = (640, 480)  # px
MAX_FOV_RAD = 2.6


@dataclass(frozen=True)
class Pose:
    """Where a browser's camera stands, as viser has it."""

    position: np.ndarray  # [3] world units
    wxyz: np.ndarray  # [4] camera to world, OpenCV axes
    fov_y_rad: float


def client_camera(pose: Pose, size: tuple[int, int], time: float) -> Camera:
    """The camera of a browser whose canvas has (width, height) `size` px; the principal point is in the middle."""
    width, height = size
    camera_to_world = torch.eye(4, dtype=torch.float64)
    camera_to_world[:3, :3] = quaternion_to_matrix(torch.tensor(np.asarray(pose.wxyz), dtype=torch.float64))
    camera_to_world[:3, 3] = torch.tensor(np.asarray(pose.position), dtype=torch.float64)
    focal = fov_to_focal(pose.fov_y_rad, height)
    world_to_camera = invert_rigid(camera_to_world).float()
    return Camera(0, "viewer", world_to_camera, focal, focal, width / 2, height / 2, width, height, time)


def pose_of(camera: Camera, aspect: float) -> Pose:
    """The pose from which a browser of this aspect (width / height) shows all of a camera's picture."""
    rotation = camera.world_to_camera[:3, :3].T.double()
    return Pose(camera.center.double().numpy(), matrix_to_quaternion(rotation).numpy(), fitting_fov(camera, aspect))


def fitting_fov(camera: Camera, aspect: float) -> float:
    """Vertical field of view in rad of a centred picture of this aspect that holds all of a camera's picture."""
    tall = max(camera.cy, camera.height - camera.cy) / camera.fy
    wide = max(camera.cx, camera.width - camera.cx) / camera.fx
    return min(MAX_FOV_RAD, 2 * math.atan(max(tall, wide / aspect)))


def view_at(camera: Camera, views: Sequence[Camera], reach: float) -> Camera | None:
    """The photographed view at a camera's pose and, if there are several, nearest to its time; None away from all.

    Args:
        reach: distance to what is looked at, world units.
    """
    near = [view for view in views if _is_same_pose(camera, view, reach)]
    return min(near, key=lambda view: abs(view.time - camera.time), default=None)


def _is_same_pose(camera: Camera, view: Camera, reach: float) -> bool:
    if float((camera.center - view.center).norm()) > SAME_PLACE * reach:
        return False
    turn = camera.world_to_camera[:3, :3] @ view.world_to_camera[:3, :3].T
    sine = torch.stack([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]).norm() / 2
    return float(sine) < SAME_ANGLE_RAD and float(turn.trace()) > 1


def pixel_in_view(camera: Camera, view: Camera, x: float, y: float) -> tuple[int, int] | None:
    """The pixel of a view that lies under position x, y (px) of a camera with the same pose; None outside of it."""
    column = (x - camera.cx) / camera.fx * view.fx + view.cx
    row = (y - camera.cy) / camera.fy * view.fy + view.cy
    inside = 0 <= column < view.width and 0 <= row < view.height
    return (int(column), int(row)) if inside else None


@dataclass(frozen=True)
class Surroundings:
    """How big a scene is, and which way is up."""

    centre: Tensor  # [3] float64
    radius: float  # world units
    up: Tensor  # [3] float64, unit

    @classmethod
    def of_views(cls, views: Sequence[Camera]) -> Surroundings:
        """What photographs show: around the point where they look at."""
        centre = scene_centre(views)
        distances = torch.stack([(view.center.double() - centre).norm() for view in views])
        return cls(centre, max(float(distances.median()), 1e-6), level_up(views))

    @classmethod
    def of_points(cls, means: Tensor) -> Surroundings:
        """What points [N, 3] fill, without those far out; y points down, as in COLMAP's scenes."""
        points = means.detach().double().cpu()
        if len(points) == 0:
            points = torch.zeros(1, 3, dtype=torch.float64)
        centre = points.median(0).values
        distances = (points - centre).norm(dim=1).sort().values
        radius = VANTAGE_DISTANCE * float(distances[int(0.9 * (len(points) - 1))])
        return cls(centre, max(radius, 1e-6), torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64))

    def vantages(self) -> tuple[Camera, ...]:
        """Made-up views around the scene, from a little above."""
        width, height = VANTAGE_SIZE
        cameras = []
        for index in range(VANTAGES):
            angle = 2 * math.pi * index / VANTAGES
            out = torch.tensor([math.cos(angle), -0.4, math.sin(angle)], dtype=torch.float64)
            pose = look_at(self.centre + self.radius * out, self.centre, self.up).float()
            shape = {"fx": width, "fy": width, "cx": width / 2, "cy": height / 2, "width": width, "height": height}
            cameras.append(Camera(index, f"vantage_{index}", pose, **shape))
        return tuple(cameras)
