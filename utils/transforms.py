"""Rotations, rigid transforms and fields of view. Quaternions are (w, x, y, z); matrices act on column vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

PARALLEL_COSINE = 0.9995


def quaternion_to_matrix(quats_wxyz: Tensor) -> Tensor:
    """Unit quaternions [..., 4] (normalised here) to rotation matrices [..., 3, 3].

    A vector e turns into e + 2 w (v x e) + 2 v x (v x e), for all three axes at once: few launches on a GPU.
    """
    quats = F.normalize(quats_wxyz, dim=-1)
    w, v = quats[..., :1, None], quats[..., None, 1:]
    axes = torch.eye(3, dtype=quats.dtype, device=quats.device).expand(*quats.shape[:-1], 3, 3)
    half = torch.linalg.cross(v, axes, dim=-1)  # [..., 3, 3], row i for axis i
    turned = axes + 2 * (w * half + torch.linalg.cross(v, half, dim=-1))
    return turned.transpose(-1, -2)


def matrix_to_quaternion(matrices: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] to unit quaternions [..., 4] with w >= 0.

    Row i of `candidates` is 4 q_i q; the row with the largest diagonal is the best conditioned (Shepperd 1978).
    """
    m = matrices
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    candidates = torch.stack(
        (
            torch.stack((1 + m00 + m11 + m22, wx, wy, wz), dim=-1),
            torch.stack((wx, 1 + m00 - m11 - m22, xy, xz), dim=-1),
            torch.stack((wy, xy, 1 - m00 + m11 - m22, yz), dim=-1),
            torch.stack((wz, xz, yz, 1 - m00 - m11 + m22), dim=-1),
        ),
        dim=-2,
    )
    best = candidates.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    index = best[..., None, None].expand(*best.shape, 1, 4)
    quats = F.normalize(candidates.gather(-2, index).squeeze(-2), dim=-1)
    return torch.where(quats[..., :1] < 0, -quats, quats)


def slerp(q0: Tensor, q1: Tensor, t: float | Tensor) -> Tensor:
    """Unit quaternion on the shorter arc from `q0` to `q1` [..., 4] at `t` in [0, 1] (a float, or a tensor [...])."""
    q0, q1 = F.normalize(q0, dim=-1), F.normalize(q1, dim=-1)
    t = torch.as_tensor(t, dtype=q0.dtype, device=q0.device)[..., None]
    cosine = (q0 * q1).sum(dim=-1, keepdim=True)
    q1 = torch.where(cosine < 0, -q1, q1)
    cosine = cosine.abs()
    angle = torch.acos(cosine.clamp(max=PARALLEL_COSINE))
    spherical = (torch.sin((1 - t) * angle) * q0 + torch.sin(t * angle) * q1) / torch.sin(angle)
    # Nearly parallel: sin(angle) -> 0, and the chord is as good as the arc.
    return F.normalize(torch.where(cosine > PARALLEL_COSINE, (1 - t) * q0 + t * q1, spherical), dim=-1)


def focal_to_fov(focal_px: float, size_px: float) -> float:
    """Field of view in radians of `size_px` pixels at focal length `focal_px`."""
    return 2 * math.atan(size_px / (2 * focal_px))


def fov_to_focal(fov_rad: float, size_px: float) -> float:
    """Focal length in px at which `size_px` pixels span `fov_rad` radians."""
    return size_px / (2 * math.tan(fov_rad / 2))


def look_at(eye: Tensor, target: Tensor, up: Tensor) -> Tensor:
    """World-to-camera matrix [4, 4] (OpenCV axes: x right, y down, z forward) of a camera at `eye` facing `target`.

    Args:
        eye: camera centre [3], world units.
        target: point [3] on the optical axis; must differ from `eye`.
        up: direction [3] that shall point up in the image; replaced when parallel to the optical axis.
    """
    forward = target - eye
    if float(forward.norm()) == 0.0:
        raise ValueError("look_at: eye and target are the same point; expected two different points")
    forward = F.normalize(forward, dim=0)
    right = torch.linalg.cross(forward, F.normalize(up.to(forward), dim=0))
    if float(right.norm()) < 1e-6:
        spare = torch.zeros_like(forward)
        spare[int(forward.abs().argmin())] = 1.0
        right = torch.linalg.cross(forward, spare)
    right = F.normalize(right, dim=0)
    rotation = torch.stack((right, torch.linalg.cross(forward, right), forward))
    matrix = torch.eye(4, dtype=eye.dtype, device=eye.device)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = -rotation @ eye
    return matrix


def invert_rigid(matrices: Tensor) -> Tensor:
    """Inverse of rigid transforms [..., 4, 4] (rotation and translation only)."""
    rotation_t = matrices[..., :3, :3].transpose(-1, -2)
    inverse = torch.zeros_like(matrices)
    inverse[..., :3, :3] = rotation_t
    inverse[..., :3, 3] = -(rotation_t @ matrices[..., :3, 3:]).squeeze(-1)
    inverse[..., 3, 3] = 1.0
    return inverse


def quaternion_multiply(first: Tensor, second: Tensor) -> Tensor:
    """Hamilton product [..., 4] of quaternions: the rotation `second`, then `first`."""
    first, second = torch.broadcast_tensors(first, second)
    w1, v1, w2, v2 = first[..., :1], first[..., 1:], second[..., :1], second[..., 1:]
    w = w1 * w2 - (v1 * v2).sum(-1, keepdim=True)
    return torch.cat([w, w1 * v2 + w2 * v1 + torch.linalg.cross(v1, v2, dim=-1)], dim=-1)
