"""Points of a view in space, tied to the Gaussians under them: they move with these to the time of any other view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from ndraster import Gaussians
from torch import Tensor

from scene.cameras import Camera
from scene.prompts import SAME_SURFACE, Point, Surface
from utils.transforms import quaternion_to_matrix


@dataclass(frozen=True)
class Anchors:
    """P points that keep their place in the frames of their Gaussians."""

    ids: Tensor  # [P] of the Gaussians
    offsets: Tensor  # [P, 3] from a Gaussian's mean, in its frame, world units

    @classmethod
    def of_pixels(cls, camera: Camera, surface: Surface, pixels: Tensor, gaussians: Gaussians) -> Anchors:
        """The surface under pixels [P, 2] (column, row), as far as there is one.

        `gaussians` are those that the surface was rendered from: at the camera's time.
        """
        ids = surface.ids[pixels[:, 1], pixels[:, 0]].long()
        solid = ids >= 0
        points, ids = unproject(camera, surface.depth[0], pixels[solid]), ids[solid]
        return cls(ids, local_points(points, gaussians.means[ids], gaussians.quats_wxyz[ids]))

    def at(self, gaussians: Gaussians) -> Tensor:
        """World points [P, 3] when the Gaussians are these."""
        return world_points(self.offsets, gaussians.means[self.ids], gaussians.quats_wxyz[self.ids])


def local_points(points: Tensor, means: Tensor, quats_wxyz: Tensor) -> Tensor:
    """World points [..., 3] in the frames of Gaussians with these means [..., 3] and orientations [..., 4]."""
    rotations = quaternion_to_matrix(quats_wxyz)
    return (rotations.transpose(-1, -2) @ (points - means)[..., None])[..., 0]


def world_points(offsets: Tensor, means: Tensor, quats_wxyz: Tensor) -> Tensor:
    """Inverse of `local_points`."""
    return (quaternion_to_matrix(quats_wxyz) @ offsets[..., None])[..., 0] + means


def visible_points(camera: Camera, surface: Surface, points: Tensor) -> tuple[Point, ...]:
    """Pixels of those world points [P, 3] that lie in the image and on its surface."""
    pixels, depth = project(camera, points)
    width, height = surface.size
    columns, rows = pixels.floor().long().unbind(1)
    inside = (depth > 0) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns, rows = columns.clamp(0, width - 1), rows.clamp(0, height - 1)
    shown = surface.depth[0, rows, columns]
    seen = inside & ((shown - depth).abs() <= SAME_SURFACE * depth.abs())
    return tuple((int(x), int(y)) for x, y in zip(columns[seen], rows[seen], strict=True))


def unproject(camera: Camera, depth: Tensor, pixels: Tensor) -> Tensor:
    """World points [P, 3] of pixels [P, 2] (column, row) at their depth (camera z) in the map [H, W]."""
    z = depth[pixels[:, 1], pixels[:, 0]]
    x = (pixels[:, 0] + 0.5 - camera.cx) / camera.fx * z
    y = (pixels[:, 1] + 0.5 - camera.cy) / camera.fy * z
    camera_to_world = torch.linalg.inv(camera.world_to_camera).to(depth)
    return torch.stack([x, y, z], 1) @ camera_to_world[:3, :3].T + camera_to_world[:3, 3]


def project(camera: Camera, points: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel coordinates [P, 2] (the first pixel's centre is at 0.5) and camera z [P] of world points [P, 3]."""
    pose = camera.world_to_camera.to(points)
    x, y, z = (points @ pose[:3, :3].T + pose[:3, 3]).unbind(1)
    safe = z.clamp_min(1e-6)
    return torch.stack([x / safe * camera.fx + camera.cx, y / safe * camera.fy + camera.cy], 1), z
