"""A camera on a part of the scene: it sees what the part would see."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from scene.cameras import Camera
from scene.composition.layers import Anchor, Mount
from scene.composition.stage import Stage
from utils.transforms import fov_to_focal, invert_rigid, look_at, matrix_to_quaternion, quaternion_to_matrix

REACH = 3.0  # standard deviations of the low-pass that are summed up


@torch.no_grad()
def mounted_cameras(stage: Stage, mount: Mount, like: Camera, up: Tensor) -> list[Camera]:
    """One camera per moment of the composition.

    Args:
        stage: the layers.
        mount: where the camera sits and looks.
        like: its picture size is used.
        up: [3] direction that points up in the picture, where the mount does not say.
    """
    poses = low_pass(_camera_to_world(stage, mount, up), mount.smooth_sec * stage.composition.fps)
    focal = fov_to_focal(math.radians(mount.fov_deg), like.width)
    timed = zip(poses, stage.times, strict=True)
    return [_camera(index, pose, focal, like, time) for index, (pose, time) in enumerate(timed)]


def _camera_to_world(stage: Stage, mount: Mount, up: Tensor) -> Tensor:
    """Rigid matrices [T, 4, 4] float64 without smoothing."""
    up = torch.tensor(mount.up or up.tolist(), dtype=torch.float64)
    start = (mount.attach.time,)
    part = stage.part(mount.attach, stage.times)
    turns = quaternion_to_matrix(part.quats_wxyz)
    eye = stage.middles(mount.attach, start)[0] + torch.tensor(mount.offset, dtype=torch.float64)
    eyes, ups = part.points(eye[None, None])[:, 0], turns @ up
    if isinstance(mount.look, Anchor):
        targets = stage.middles(mount.look, stage.times)
    else:
        targets = eyes + turns @ F.normalize(torch.tensor(mount.look, dtype=torch.float64), dim=0)
    views = [look_at(*pose) for pose in zip(eyes, targets, ups, strict=True)]
    return invert_rigid(torch.stack(views))


def low_pass(poses: Tensor, sigma: float) -> Tensor:
    """Rigid matrices [T, 4, 4] smoothed over time: means of places and of rotations, Gaussian weights.

    Args:
        poses: in the order of equally spaced moments.
        sigma: standard deviation in moments; 0 = as they are.
    """
    if sigma <= 0 or len(poses) == 1:
        return poses
    index = torch.arange(len(poses), dtype=poses.dtype)
    apart = (index[:, None] - index) / sigma
    weights = torch.where(apart.abs() <= REACH, (-0.5 * apart.square()).exp(), 0.0)
    weights = weights / weights.sum(1, keepdim=True)
    quats = matrix_to_quaternion(poses[:, :3, :3])
    moments = torch.einsum("ts,si,sj->tij", weights, quats, quats)  # their largest eigenvector is the mean rotation
    result = poses.clone()
    result[:, :3, :3] = quaternion_to_matrix(torch.linalg.eigh(moments).eigenvectors[..., -1])
    result[:, :3, 3] = weights @ poses[:, :3, 3]
    return result


def up_of(cameras: Sequence[Camera]) -> Tensor:
    """Mean direction [3] that points up in the pictures, float64."""
    return -torch.stack([camera.world_to_camera[1, :3] for camera in cameras]).double().mean(0)


def _camera(index: int, camera_to_world: Tensor, focal_px: float, like: Camera, time: float) -> Camera:
    pose = invert_rigid(camera_to_world).float()
    middle = (like.width / 2, like.height / 2)
    return Camera(index, f"moment_{index:05d}", pose, focal_px, focal_px, *middle, like.width, like.height, time)


def path_record(camera: Camera) -> dict[str, object]:
    """One entry of a file of cameras, as `gaussian_renderer.camera_file` reads it."""
    return {
        "img_name": camera.image_name,
        "position": camera.center.tolist(),
        "rotation": camera.world_to_camera[:3, :3].T.tolist(),
        "width": camera.width,
        "height": camera.height,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "time": camera.time,
    }
