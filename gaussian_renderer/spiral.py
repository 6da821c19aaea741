"""The spiral of LLFF (Mildenhall et al. 2019): around one view, nearer and farther, always looking at one point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gaussian_renderer.trajectories import level_up, moved, scene_centre
from scene.cameras import Camera
from utils.errors import UserError
from utils.transforms import look_at

TURNS, DEPTH_RATE = 2.0, 0.5  # LLFF's: two turns, half as many swings in depth
RADIUS_QUANTILE = 0.9
MAX_RADIUS = 0.3  # of the distance of the point looked at; a ring of cameras would lead through the scene
MIN_SPREAD = 3e-3  # mean squared sine between the optical axes, below which they do not meet anywhere near
FAR = 10.0  # distance of the point looked at when the axes do not meet, in radii


def spiral(cameras: Sequence[Camera], num_views: int) -> Iterator[Camera]:
    """`num_views` cameras on a spiral about the training camera nearest to the middle of all; it ends where it began.

    Its radii are the 90 % quantiles of the training cameras' distances from that camera along its axes, at most 0.3 of
    the distance of the point where their axes meet, which all look at. Intrinsics and time are that camera's.
    """
    middle = _middle_camera(cameras)
    eye, up = middle.center.double(), level_up(cameras)
    focus, radii = _focus_and_radii(cameras, middle)
    axes = look_at(eye, focus, up)[:3, :3]
    for index in range(num_views):
        angle = 2 * math.pi * TURNS * index / num_views
        swing = torch.tensor([math.cos(angle), math.sin(angle), math.sin(DEPTH_RATE * angle)], dtype=torch.float64)
        pose = look_at(eye + axes.T @ (radii * swing), focus, up).float()
        yield moved(middle, index, f"spiral_{index:05d}", pose, middle.time)


def _middle_camera(cameras: Sequence[Camera]) -> Camera:
    if not cameras:
        raise UserError("no cameras; a path needs at least one training camera; check the data set's split")
    centres = torch.stack([camera.center.double() for camera in cameras])
    return cameras[int((centres - centres.mean(0)).norm(dim=1).argmin())]


def _focus_and_radii(cameras: Sequence[Camera], middle: Camera) -> tuple[Tensor, Tensor]:
    """The point [3] looked at (world) and the radii [3] along the middle camera's axes (right, down, forward)."""
    rotation, eye = middle.world_to_camera[:3, :3].double(), middle.center.double()
    offsets = torch.stack([camera.center.double() for camera in cameras]) - eye
    radii = (offsets @ rotation.T).abs().quantile(RADIUS_QUANTILE, dim=0)
    forward = rotation[2]
    depth = float(forward @ (scene_centre(cameras) - eye))
    if _axis_spread(cameras) < MIN_SPREAD or depth <= 0:
        depth = FAR * float(radii.max()) or 1.0
    return eye + depth * forward, radii.clamp_max(MAX_RADIUS * depth)


def _axis_spread(cameras: Sequence[Camera]) -> float:
    """Mean squared sine of the angle between the optical axes and their common direction."""
    axes = torch.stack([camera.world_to_camera[2, :3].double() for camera in cameras])
    return 1.0 - float(torch.linalg.eigvalsh(axes.T @ axes / len(cameras))[-1])
