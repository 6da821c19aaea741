"""Camera paths that were never photographed: generators of `Camera`, made from the training cameras."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scene.cameras import Camera
from utils.errors import UserError
from utils.transforms import look_at, matrix_to_quaternion, quaternion_to_matrix, slerp

FULL_CIRCLE_GAP_RAD = math.pi / 2  # a larger hole between the training azimuths means: do not fly through it


def sorted_by_name(cameras: Sequence[Camera]) -> list[Camera]:
    """The order that views are counted in, everywhere a user names a view by its number."""
    return sorted(cameras, key=lambda camera: camera.image_name)


def slerp_path(cameras: Sequence[Camera], num_views: int) -> Iterator[Camera]:
    """`num_views` cameras from the first to the last training camera by name, passing through every one of them.

    Rotations are slerped, centres follow a Catmull-Rom spline, the time is blended linearly; intrinsics and image
    size are the first camera's.
    """
    yield from _along(_key_poses(sorted_by_name(cameras)), num_views, "slerp")


def lerp_path(cameras: Sequence[Camera], num_views: int) -> Iterator[Camera]:
    """`num_views` cameras straight from the first to the last training camera by name: Feature 3DGS's novel views.

    Centres are blended linearly, rotations slerped (a linear blend of matrices is no rotation).
    """
    ordered = sorted_by_name(_nonempty(cameras))
    yield from _along(_key_poses([ordered[0], ordered[-1]]), num_views, "lerp")


def in_betweens(cameras: Sequence[Camera], per_pair: int = 2) -> Iterator[Camera]:
    """`per_pair` cameras strictly between each two neighbours by name (t = 1/3, 2/3 for two), keys left out."""
    keys = _key_poses(sorted_by_name(cameras))
    for pair in range(len(keys.times) - 1):
        for step in range(per_pair):
            index = pair * per_pair + step
            yield keys.camera_at(pair + (step + 1) / (per_pair + 1), index, f"between_{index:05d}")


def orbit(cameras: Sequence[Camera], num_views: int) -> Iterator[Camera]:
    """`num_views` cameras on a circle around the scene centre, all looking at it; the last one meets the first.

    The centre is the point nearest to all optical axes, the circle has the training cameras' median height and
    distance. When the training views leave more than a quarter of the circle unseen, the path swings to and fro
    over the seen arc instead.
    """
    yield from _around(_nonempty(cameras)[0], _fit_ring(cameras), num_views, "orbit")


def circle(cameras: Sequence[Camera], num_views: int) -> Iterator[Camera]:
    """Like `orbit`, but all around in any case."""
    ring = replace(_fit_ring(_nonempty(cameras)), arc_rad=2 * math.pi)
    yield from _around(cameras[0], ring, num_views, "circle")


def scene_centre(cameras: Sequence[Camera]) -> Tensor:
    """Point [3] with the least squared distance to all optical axes (float64); between them when they are parallel."""
    axes = torch.stack([camera.world_to_camera[2, :3].double() for camera in _nonempty(cameras)])
    centres = torch.stack([camera.center.double() for camera in cameras])
    projectors = torch.eye(3, dtype=torch.float64) - axes[:, :, None] * axes[:, None, :]
    # A weak pull towards the middle of the cameras keeps the system regular for a single or parallel axes.
    damping = 1e-3 * len(cameras) * torch.eye(3, dtype=torch.float64)
    right = (projectors @ centres[:, :, None]).sum(0)[:, 0] + damping @ centres.mean(0)
    return torch.linalg.solve(projectors.sum(0) + damping, right)


def level_up(cameras: Sequence[Camera]) -> Tensor:
    """Unit vector [3] that points up when the cameras were held level: at right angles to their right axes.

    The mean of the cameras' own up vectors leans over as soon as they look down from one side; it only decides the
    sign, and the direction as far as parallel right axes leave it open.
    """
    rights = torch.stack([camera.world_to_camera[0, :3].double() for camera in cameras])
    mean_up = -torch.stack([camera.world_to_camera[1, :3].double() for camera in cameras]).mean(0)
    mean_up = mean_up / mean_up.norm().clamp_min(1e-12)
    spread = rights.T @ rights / len(cameras) - 1e-3 * torch.outer(mean_up, mean_up)
    up = torch.linalg.eigh(spread).eigenvectors[:, 0]
    return up if up @ mean_up >= 0 else -up


@dataclass(frozen=True)
class _KeyPoses:
    """Training poses by name, ready to be blended."""

    template: Camera
    quats_wxyz: Tensor  # [V, 4] camera-to-world
    centres: Tensor  # [V, 3]
    times: list[float]

    def camera_at(self, u: float, uid: int, name: str) -> Camera:
        """The camera at position u in [0, V - 1] along the keys."""
        last = len(self.times) - 1
        left = min(int(u), max(last - 1, 0))
        right, t = min(left + 1, last), u - left
        rotation = quaternion_to_matrix(slerp(self.quats_wxyz[left], self.quats_wxyz[right], t))
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3] = rotation.T
        pose[:3, 3] = -rotation.T @ self._centre_at(left, t)
        time = (1 - t) * self.times[left] + t * self.times[right]
        return moved(self.template, uid, name, pose.float(), time)

    def _centre_at(self, left: int, t: float) -> Tensor:
        """Catmull-Rom through four neighbouring centres (end points repeated); a straight line between only two."""
        last = len(self.times) - 1
        p0, p1, p2, p3 = (self.centres[min(max(left + k, 0), last)] for k in (-1, 0, 1, 2))
        if last == 1:
            return torch.lerp(p1, p2, t)
        linear, square, cubic = p2 - p0, 2 * p0 - 5 * p1 + 4 * p2 - p3, 3 * (p1 - p2) + p3 - p0
        return p1 + 0.5 * t * (linear + t * (square + t * cubic))


def _key_poses(ordered: Sequence[Camera]) -> _KeyPoses:
    rotations = torch.stack([camera.world_to_camera[:3, :3].double().T for camera in _nonempty(ordered)])
    centres = torch.stack([camera.center.double() for camera in ordered])
    return _KeyPoses(ordered[0], matrix_to_quaternion(rotations), centres, [camera.time for camera in ordered])


def _along(keys: _KeyPoses, num_views: int, name: str) -> Iterator[Camera]:
    """Cameras evenly spread from the first key to the last."""
    for index, u in enumerate(torch.linspace(0, len(keys.times) - 1, num_views, dtype=torch.float64).tolist()):
        yield keys.camera_at(u, index, f"{name}_{index:05d}")


@dataclass(frozen=True)
class _Ring:
    """A circle around the scene centre, seen from the training cameras' height."""

    centre: Tensor  # [3]
    up: Tensor  # [3] unit
    side: Tensor  # [3] unit, azimuth 0
    radius: float
    height: float
    start_rad: float
    arc_rad: float  # 2 pi = all around

    def azimuth_at(self, phase: float) -> float:
        """Azimuth (rad) at phase in [0, 1): round and round, or to and fro with soft turns."""
        if self.arc_rad >= 2 * math.pi:
            return self.start_rad + self.arc_rad * phase
        return self.start_rad + self.arc_rad * 0.5 * (1 - math.cos(2 * math.pi * phase))

    def point(self, azimuth_rad: float) -> Tensor:
        """Camera centre [3] at an azimuth."""
        other = torch.linalg.cross(self.up, self.side)
        flat = math.cos(azimuth_rad) * self.side + math.sin(azimuth_rad) * other
        return self.centre + self.radius * flat + self.height * self.up


def _around(first: Camera, ring: _Ring, num_views: int, name: str) -> Iterator[Camera]:
    """Cameras evenly spread over one round of a ring."""
    for index in range(num_views):
        pose = look_at(ring.point(ring.azimuth_at(index / num_views)), ring.centre, ring.up).float()
        yield moved(first, index, f"{name}_{index:05d}", pose, first.time)


def _fit_ring(cameras: Sequence[Camera]) -> _Ring:
    centre = scene_centre(cameras)
    up = level_up(cameras)
    offsets = torch.stack([camera.center.double() for camera in cameras]) - centre
    heights = offsets @ up
    flat = offsets - heights[:, None] * up
    side = _perpendicular(flat[0], up)
    azimuths = torch.atan2(flat @ torch.linalg.cross(up, side), flat @ side)
    start, arc = _covered_arc(azimuths)
    radius = float(flat.norm(dim=1).median().clamp_min(1e-6))
    return _Ring(centre, up, side, radius, float(heights.median()), start, arc)


def _perpendicular(vector: Tensor, up: Tensor) -> Tensor:
    """Unit vector at right angles to `up`, as near to `vector` as there is one."""
    if vector.norm() < 1e-9:
        vector = torch.eye(3, dtype=up.dtype)[up.abs().argmin()]
        vector = vector - (vector @ up) * up
    return vector / vector.norm()


def _covered_arc(azimuths_rad: Tensor) -> tuple[float, float]:
    """(start, length) in rad of the arc between the training azimuths; the full circle when no hole is large."""
    ordered = azimuths_rad.sort().values
    gaps = torch.cat([ordered[1:], ordered[:1] + 2 * math.pi]) - ordered
    widest = int(gaps.argmax())
    if gaps[widest] < FULL_CIRCLE_GAP_RAD:
        return float(ordered[0]), 2 * math.pi
    start = float(ordered[(widest + 1) % len(ordered)])
    return start, 2 * math.pi - float(gaps[widest])


def moved(template: Camera, uid: int, name: str, pose: Tensor, time: float) -> Camera:
    """A camera with the template's intrinsics at another pose [4, 4]."""
    return replace(template, uid=uid, image_name=name, world_to_camera=pose, time=time, info=None)


def _nonempty(cameras: Sequence[Camera]) -> Sequence[Camera]:
    if not cameras:
        raise UserError("no cameras; a path needs at least one training camera; check the data set's split")
    return cameras
