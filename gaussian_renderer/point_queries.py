"""Points of a moving scene, asked for in space or in a picture, carried by the Gaussians around them for all time.

After Dynamic 3D Gaussians (Luiten et al. 2024, section 3.4): the carrier of a point p is the Gaussian with the largest
influence f = opacity exp(-|S^-1 R^T (p - mean)|^2 / 2) on it, and p keeps its place in the carrier's frame. Here the m
most influential ones carry it together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from ndraster import Gaussians
from torch import Tensor

from gaussian_renderer import RenderSettings, render
from gaussian_renderer.anchors import local_points, world_points
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from scene.motion import CODE_NAME
from utils.errors import UserError
from utils.transforms import quaternion_to_matrix

UNTOUCHED = 1e-3  # influence below which no Gaussian carries a point
UNTOUCHED_COMPAT = 0.5  # the published rule, which stops points on thin or faint Gaussians
MIN_SHARE = 1e-3  # of the carrier's influence, from which another one helps
VETO = 3.0  # median deviations from the others from which a carrier does not count
LABELLED = "per_timestep"  # the motion whose code tells foreground from background
CHUNK = 1 << 22  # pairs of points and Gaussians at a time


@dataclass(frozen=True)
class CarrierRules:
    """How carriers are found."""

    count: int = 8
    """Gaussians at most that carry a point; 1 = the most influential alone."""
    compat_static: bool = False
    """A point stands still where every influence is below 0.5, and only there, as published."""


@dataclass(frozen=True)
class Carriers:
    """P points tied to m Gaussians each."""

    points: Tensor  # [P, 3] world, where they were asked for
    times: Tensor  # [P] float64 on the CPU, 0..1, when
    ids: Tensor  # [P, m] rows of the model, the carrier first
    offsets: Tensor  # [P, m, 3] from the means, in the frames of the Gaussians
    weights: Tensor  # [P, m] at least 0, the largest 1; 0 = does not count
    static: Tensor  # [P] bool: stands still

    def at(self, gaussians: Gaussians) -> Tensor:
        """World points [P, 3] when the Gaussians are these.

        The places to which the carriers bring a point are averaged (a plain weighted mean: they coincide at its own
        time, so nothing shrinks as long as the carriers turn alike). One that leaves the others is left out.
        """
        means, quats = gaussians.means[self.ids], gaussians.quats_wxyz[self.ids]
        places = world_points(self.offsets, means, quats)
        weights = self.weights * _agreeing(places, self.weights > 0)
        moved = (weights[..., None] * places).sum(1) / weights.sum(1, keepdim=True)
        return torch.where(self.static[:, None], self.points, moved)

    @classmethod
    def joined(cls, parts: Sequence[Carriers]) -> Carriers:
        """The points of all parts in turn."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def rows(self, order: Tensor) -> Carriers:
        """The points at these indices [Q]."""
        values = (getattr(self, name) for name in self.__dataclass_fields__)
        return Carriers(*(value[order.to(value.device)] for value in values))


def _agreeing(places: Tensor, allowed: Tensor) -> Tensor:
    """Which carriers [P, m] bring their point [P, m, 3] near to where most of the allowed ones do.

    Neighbours on one surface move together; what a carrier's place deviates from the median place is the strain
    between it and the others. Of one or two carriers none can be told to be wrong.
    """
    hidden = torch.where(allowed[..., None], places, torch.nan)
    deviations = (places - hidden.nanmedian(1, keepdim=True).values).norm(dim=-1)
    usual = torch.where(allowed, deviations, torch.nan).nanmedian(1, keepdim=True).values
    return (deviations <= VETO * usual) | (allowed.sum(1, keepdim=True) < 3)


@torch.no_grad()
def carriers_of_points(model: GaussianModel, points: Tensor, times: Tensor, rules: CarrierRules) -> Carriers:
    """Carriers of world points [P, 3] at times [P] in 0..1, each its own."""
    points, times = points.to(model.means), times.double().cpu()
    parts, order = [], []
    for time in times.unique().tolist():
        chosen = (times == time).nonzero()[:, 0]
        parts.append(_carriers(model, model.at(time), points[chosen.to(points.device)], time, rules))
        order.append(chosen)
    return Carriers.joined(parts).rows(torch.cat(order).argsort())


@torch.no_grad()
def carriers_of_pixels(
    model: GaussianModel,
    camera: Camera,
    pixels: Tensor,
    rules: CarrierRules,
    settings: RenderSettings,
    may_miss: bool = False,
) -> Carriers:
    """Carriers of the surface under pixels [P, 2] of a view (the first pixel's centre is at 0.5), at its time.

    The carrier is the Gaussian that sets the median depth; the point is where it is densest along the ray.

    Raises:
        UserError: a pixel is outside the picture or shows nothing. If it `may_miss`, its point is NaN instead.
    """
    gaussians = model.at(camera.time)
    pixels = pixels.to(gaussians.means)
    ids = _median_ids(camera, pixels, render(camera, model, settings=settings).median_ids)
    missed = ids < 0
    if missed.any() and not may_miss:
        x, y = pixels[missed][0].tolist()
        size = f"{camera.width}x{camera.height} px"
        raise UserError(f"pixel {x:g} {y:g} of {camera.image_name} ({size}) shows nothing; expected a surface in it")
    points = _densest(camera, pixels, gaussians, ids.clamp_min(0))
    found = _carriers(model, gaussians, points, float(camera.time), rules, first=ids.clamp_min(0))
    points = torch.where(missed[:, None], torch.nan, points)
    return replace(found, points=points, static=found.static | missed)


def _median_ids(camera: Camera, pixels: Tensor, medians: Tensor) -> Tensor:
    """Entries [P] of a map [H, W] of Gaussians under pixels [P, 2]; -1 outside."""
    inside = ((pixels >= 0) & (pixels < pixels.new_tensor([camera.width, camera.height]))).all(1)
    columns, rows = torch.where(inside[:, None], pixels, 0.0).long().unbind(1)
    return torch.where(inside, medians[rows, columns].long(), -1)


def _densest(camera: Camera, pixels: Tensor, gaussians: Gaussians, ids: Tensor) -> Tensor:
    """World points [P, 3] on the rays of pixels [P, 2] where the Gaussians `ids` [P] are densest.

    With origin and direction in the frame in which the Gaussian is a unit ball, that is at -o.d / d.d along the ray.
    A flat Gaussian is met in its plane, where the depth of its mean is the depth of another place.
    """
    rotation = camera.world_to_camera[:3, :3].to(pixels)
    x, y = (pixels[:, 0] - camera.cx) / camera.fx, (pixels[:, 1] - camera.cy) / camera.fy
    directions = torch.stack([x, y, torch.ones_like(x)], 1) @ rotation
    origin = camera.center.to(pixels)
    whitening = _whitening(gaussians.quats_wxyz[ids], gaussians.scales[ids])
    o = (whitening @ (origin - gaussians.means[ids])[..., None])[..., 0]
    d = (whitening @ directions[..., None])[..., 0]
    return origin - ((o * d).sum(1) / (d * d).sum(1))[:, None] * directions


def _carriers(
    model: GaussianModel,
    gaussians: Gaussians,
    points: Tensor,
    time: float,
    rules: CarrierRules,
    first: Tensor | None = None,  # [P] carriers that are known
) -> Carriers:
    """Carriers of world points [P, 3] when the Gaussians are these."""
    count = min(rules.count, len(gaussians.means))
    ids, logs = _most_influential(gaussians, points, count)
    if first is not None:
        ids, logs = _put_first(ids, logs, first, _log_influence_of(gaussians, points, first))
    may_move = foreground(model)
    shares = (logs - logs.amax(1, keepdim=True)).exp()
    helps = (shares >= MIN_SHARE) & (may_move[ids] == may_move[ids[:, :1]])
    helps[:, 0] = True
    weights = torch.where(helps, shares.clamp_min(MIN_SHARE), torch.zeros_like(shares))
    offsets = local_points(points[:, None], gaussians.means[ids], gaussians.quats_wxyz[ids])
    if rules.compat_static:
        static = logs[:, 0].exp() < UNTOUCHED_COMPAT
    else:
        static = ~may_move[ids[:, 0]] | (logs[:, 0].exp() < UNTOUCHED)
    times = torch.full((len(points),), time, dtype=torch.float64)
    return Carriers(points, times, ids, offsets, weights / weights.amax(1, keepdim=True), static)


def knows_foreground(model: GaussianModel) -> bool:
    """Whether the Gaussians are labelled; the codes of other motions mean other things."""
    return CODE_NAME in model.params and model.motion.kind == LABELLED


def foreground(model: GaussianModel) -> Tensor:
    """Which Gaussians [N] bool may move; all, unless the model knows a background."""
    if knows_foreground(model):
        return model.params[CODE_NAME][:, 0] >= 0.5
    return torch.ones(len(model), dtype=torch.bool, device=model.device)


def _most_influential(gaussians: Gaussians, points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` Gaussians [P, count] with the largest influence on points [P, 3], and its logarithm, falling."""
    size = max(1, CHUNK // max(1, len(gaussians.means)))
    parts = [log_influences(gaussians, part).topk(count) for part in points.split(size)]
    return torch.cat([part.indices for part in parts]), torch.cat([part.values for part in parts])


def log_influences(gaussians: Gaussians, points: Tensor) -> Tensor:
    """Logarithm [P, N] of opacity exp(-|S^-1 R^T (p - mean)|^2 / 2) of all Gaussians on points [P, 3]."""
    whitening = _whitening(gaussians.quats_wxyz, gaussians.scales)
    local = torch.einsum("nij,pnj->pni", whitening, points[:, None] - gaussians.means)
    return gaussians.opacities.log() - local.square().sum(-1) / 2


def _log_influence_of(gaussians: Gaussians, points: Tensor, ids: Tensor) -> Tensor:
    """The same [P] of one Gaussian, `ids` [P], on each point."""
    whitening = _whitening(gaussians.quats_wxyz[ids], gaussians.scales[ids])
    local = (whitening @ (points - gaussians.means[ids])[..., None])[..., 0]
    return gaussians.opacities[ids].log() - local.square().sum(-1) / 2


def _whitening(quats_wxyz: Tensor, scales: Tensor) -> Tensor:
    """Matrices [..., 3, 3] into the frames in which the Gaussians are unit balls: S^-1 R^T."""
    return quaternion_to_matrix(quats_wxyz).transpose(-1, -2) / scales[..., None]


def _put_first(ids: Tensor, logs: Tensor, first: Tensor, log: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [P, m] with `first` [P] at their beginning: moved there from its place, or in place of the last one."""
    here = ids == first[:, None]
    place = torch.where(here.any(1), here.int().argmax(1), ids.shape[1] - 1)[:, None]
    ids = ids.scatter(1, place, ids[:, :1]).index_copy(1, torch.tensor([0], device=ids.device), first[:, None])
    logs = logs.scatter(1, place, logs[:, :1]).index_copy(1, torch.tensor([0], device=ids.device), log[:, None])
    return ids, logs
