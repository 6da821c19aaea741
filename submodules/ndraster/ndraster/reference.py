"""The specification: splatting in plain PyTorch, on any device, in float32 or float64, differentiated by autograd.

Method: Kerbl et al. 2023, "3D Gaussian Splatting for Real-Time Radiance Field Rendering", with EWA projection
(Zwicker et al. 2001). A Gaussian contributes to a pixel exactly where its alpha reaches 1/255, so the image does not
depend on tiles.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ndraster import constants as c
from ndraster.spherical_harmonics import sh_to_color
from ndraster.types import Gaussians, PinholeCamera, Settings

_CHUNK_PX = 32  # the image is blended in squares of this side, to bound memory


class Projected(NamedTuple):
    """Gaussians on the image plane, not yet sorted or culled."""

    means2d: Tensor  # [N, 2] px
    conics: Tensor  # [N, 3] inverse covariance (xx, xy, yy) in 1/px^2
    opacities: Tensor  # [N] after the antialiasing factor
    depths: Tensor  # [N] camera z
    colors: Tensor  # [N, 3]
    radii: Tensor  # [N] int32 px
    extents: Tensor  # [N, 2] px, half size of the box outside which alpha < 1/255
    visible: Tensor  # [N] bool


class Blended(NamedTuple):
    """Images of one blending pass; `features` has zero channels when there are none."""

    color: Tensor  # [3, H, W] without background
    features: Tensor  # [D, H, W]
    depth: Tensor  # [1, H, W]
    inverse_depth: Tensor  # [1, H, W]
    transmittance: Tensor  # [1, H, W]
    median_ids: Tensor  # [H, W] int32


def rotation_matrices(quats_wxyz: Tensor) -> Tensor:
    """Rotation matrices [N, 3, 3] of quaternions [N, 4] (w, x, y, z), which are used as given."""
    w, x, y, z = quats_wxyz.unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def screen_covariances(camera_means: Tensor, gaussians: Gaussians, camera: PinholeCamera, settings: Settings) -> Tensor:
    """Projected covariances [N, 2, 2] in px^2, before the blur (EWA splatting, local affine approximation)."""
    z = camera_means[:, 2].clamp_min(1e-6)  # culled Gaussians must not produce infinities that poison gradients
    limits_x = _slope_limits(camera.fx, camera.cx, camera.width)
    limits_y = _slope_limits(camera.fy, camera.cy, camera.height)
    x, y = _clamped(camera_means[:, 0], z, limits_x), _clamped(camera_means[:, 1], z, limits_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [
            torch.stack([camera.fx / z, zero, -camera.fx * x / (z * z)], -1),
            torch.stack([zero, camera.fy / z, -camera.fy * y / (z * z)], -1),
        ],
        -2,
    )
    rotation = camera.world_to_camera[:3, :3].to(camera_means)
    spread = rotation_matrices(gaussians.quats_wxyz) * (settings.scale_modifier * gaussians.scales)[:, None, :]
    half = jacobian @ rotation @ spread
    return half @ half.transpose(1, 2)


def _slope_limits(focal_px: float, centre_px: float, size_px: int) -> tuple[float, float]:
    """Range of x/z (or y/z) the Jacobian may use: the image's half angle times the margin, around its own centre."""
    half = c.FRUSTUM_MARGIN * 0.5 * size_px / focal_px
    middle = (0.5 * size_px - centre_px) / focal_px
    return middle - half, middle + half


def _clamped(x: Tensor, z: Tensor, limits: tuple[float, float]) -> Tensor:
    """x with x/z clamped; where the clamp acts, neither x nor z receives a gradient through it."""
    inside = (x / z >= limits[0]) & (x / z <= limits[1])
    return torch.where(inside, x, (z * (x / z).clamp(*limits)).detach())


def project(gaussians: Gaussians, camera: PinholeCamera, settings: Settings) -> Projected:
    """Project all Gaussians: screen means, conics, colours, effective opacities and what is visible."""
    world_to_camera = camera.world_to_camera.to(gaussians.means)
    camera_means = gaussians.means @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    depths = camera_means[:, 2]
    in_front = depths > settings.near
    z = torch.where(in_front, depths, torch.ones_like(depths))
    camera_means = torch.cat([camera_means[:, :2], z[:, None]], 1)
    means2d = torch.stack(
        [camera.fx * camera_means[:, 0] / z + camera.cx, camera.fy * camera_means[:, 1] / z + camera.cy], -1
    )
    covariance = screen_covariances(camera_means, gaussians, camera, settings)
    xx, xy, yy = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    blurred_xx, blurred_yy = xx + c.BLUR_PX2, yy + c.BLUR_PX2
    det = blurred_xx * blurred_yy - xy * xy
    opacities = gaussians.opacities
    if settings.antialiasing:
        opacities = opacities * ((xx * yy - xy * xy) / det).clamp_min(c.ANTIALIAS_FLOOR).sqrt()
    with torch.no_grad():
        middle = 0.5 * (blurred_xx + blurred_yy)
        largest = middle + (middle * middle - det).clamp_min(c.EIGEN_FLOOR).sqrt()
        reach2 = 2 * torch.log((opacities / c.ALPHA_MIN).clamp_min(1e-30))  # squared Mahalanobis distance at 1/255
        extents = (reach2.clamp_min(0)[:, None] * torch.stack([blurred_xx, blurred_yy], -1)).sqrt()
        size = torch.tensor([camera.width, camera.height], device=means2d.device)
        inside = ((means2d + extents > 0) & (means2d - extents < size)).all(-1)
        visible = in_front & inside & (reach2 >= 0) & (det > c.EPS_DET)
        radii = torch.where(visible, (c.RADIUS_SIGMAS * largest.sqrt()).ceil(), torch.zeros_like(z)).to(torch.int32)
    conics = torch.stack([blurred_yy, -xy, blurred_xx], -1) / det[:, None]
    return Projected(
        means2d, conics, opacities, depths, _view_colors(gaussians, world_to_camera, settings), radii, extents, visible
    )


def _view_colors(gaussians: Gaussians, world_to_camera: Tensor, settings: Settings) -> Tensor:
    if gaussians.colors is not None:
        return gaussians.colors
    eye = -world_to_camera[:3, :3].T @ world_to_camera[:3, 3]
    directions = torch.nn.functional.normalize(gaussians.means - eye, dim=-1)
    return sh_to_color(gaussians.sh, directions, settings.sh_degree)


class _ScreenMeans(torch.autograd.Function):
    """Broadcast screen means to pixels; backward also leaves the sums of signed and absolute gradients in the probe."""

    @staticmethod
    def forward(ctx, means2d: Tensor, probe: Tensor, pixels: int) -> Tensor:
        return means2d[None].expand(pixels, -1, -1).clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        total = gradient.sum(0)
        return total, torch.cat([total, gradient.abs().sum(0)], -1), None


def blend(
    projected: Projected, features: Tensor | None, probe: Tensor, camera: PinholeCamera, geometry: bool
) -> Blended:
    """Blend front to back. `geometry`: whether the feature map's gradient reaches alpha (and so everything else)."""
    order = torch.argsort(projected.depths, stable=True)
    order = order[projected.visible[order]]
    rows = []
    for top in range(0, camera.height, _CHUNK_PX):
        row = []
        for left in range(0, camera.width, _CHUNK_PX):
            box = (left, top, min(left + _CHUNK_PX, camera.width), min(top + _CHUNK_PX, camera.height))
            row.append(_blend_box(projected, features, probe, order, box, geometry))
        rows.append([torch.cat(parts, -1) for parts in zip(*row, strict=True)])
    return Blended(*[torch.cat(parts, -2) for parts in zip(*rows, strict=True)])


def _blend_box(
    projected: Projected, features: Tensor | None, probe: Tensor, order: Tensor, box: tuple, geometry: bool
) -> Blended:
    left, top, right, bottom = box
    low, high = projected.means2d - projected.extents, projected.means2d + projected.extents
    touches = (high[:, 0] > left) & (low[:, 0] < right) & (high[:, 1] > top) & (low[:, 1] < bottom)
    ids = order[touches.detach()[order]]
    weights, transmittance, median = _weights(projected, probe, ids, box)
    shape = (bottom - top, right - left)
    z = projected.depths[ids]
    color = (weights @ projected.colors[ids]).T.reshape(3, *shape)
    feature_weights = weights if geometry else weights.detach()
    feature_rows = features[ids] if features is not None else weights.new_zeros(len(ids), 0)
    feature_map = (feature_weights @ feature_rows).T.reshape(-1, *shape)
    depth = (weights @ z[:, None]).T.reshape(1, *shape)
    inverse_depth = (weights @ (1 / z)[:, None]).T.reshape(1, *shape)
    return Blended(
        color,
        feature_map,
        depth,
        inverse_depth,
        transmittance.reshape(1, *shape),
        median.reshape(shape).to(torch.int32),
    )


def _weights(projected: Projected, probe: Tensor, ids: Tensor, box: tuple) -> tuple[Tensor, Tensor, Tensor]:
    """Blending weights [P, K] of the listed Gaussians at the box's pixels, final transmittance [P], median ids [P]."""
    left, top, right, bottom = box
    like = projected.means2d
    ys = torch.arange(top, bottom, device=like.device, dtype=like.dtype) + 0.5
    xs = torch.arange(left, right, device=like.device, dtype=like.dtype) + 0.5
    pixels = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).reshape(-1, 2)
    if len(ids) == 0:
        return like.new_zeros(len(pixels), 0), like.new_ones(len(pixels)), ids.new_full((len(pixels),), -1)
    offset = _ScreenMeans.apply(projected.means2d[ids], probe[ids], len(pixels)) - pixels[:, None]
    a, b, d = projected.conics[ids].unbind(-1)
    power = -0.5 * (a * offset[..., 0] ** 2 + d * offset[..., 1] ** 2) - b * offset[..., 0] * offset[..., 1]
    raw = projected.opacities[ids] * torch.exp(power)
    alpha = raw + (raw.clamp_max(c.ALPHA_MAX) - raw).detach()  # straight-through cap
    alpha = torch.where((power <= 0) & (alpha >= c.ALPHA_MIN), alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1 - alpha, dim=1)  # transmittance behind each Gaussian
    kept = (after >= c.TRANSMITTANCE_MIN).detach()  # a prefix: `after` only falls
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], 1)
    weights = torch.where(kept, alpha * before, torch.zeros_like(alpha))
    transmittance = torch.where(kept, 1 - alpha, torch.ones_like(alpha)).prod(1)
    crossed = kept & (after < c.MEDIAN_TRANSMITTANCE)
    median = torch.where(crossed.any(1), ids[crossed.to(torch.uint8).argmax(1)], ids.new_tensor(-1))
    return weights, transmittance, median
