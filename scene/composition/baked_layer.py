"""One layer in the space of the composition."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from ndraster import Gaussians
from torch import Tensor
from torch.nn import functional as F

from scene.composition.layers import Layer
from scene.composition.select import is_tracked
from scene.composition.sh_rotation import rotated_sh
from scene.composition.stage import Stage
from scene.composition.transform import Pose, Similarity
from scene.gaussian_model import GaussianModel
from scene.motion import CODE_NAME
from utils.progress import warn
from utils.spherical_harmonics import rgb_to_sh, sh_to_rgb
from utils.transforms import quaternion_to_matrix

SAME_COLOR = 1e-4  # RGB
SAME_SIZE = 0.01  # relative
MIN_SCALE = 1e-12  # world units; its logarithm is finite
LOGIT_LIMIT = 30.0


@dataclass(frozen=True)
class Performance:
    """The chosen M Gaussians of a layer at T moments of the composition, in the layer's own space."""

    rows: Tensor  # [M] indices in the model
    means: Tensor  # [T, M, 3]
    quats_wxyz: Tensor  # [T, M, 4] of length 1
    log_scales: Tensor  # [M, 3] at the first moment
    sh: Tensor  # [M, K, 3] in the layer's axes
    colors: Tensor | None  # [T, M, 3] RGB, if they change over time
    births: Tensor  # [M] number of the first moment at which each is there


@dataclass(frozen=True)
class BakedLayer:
    """M Gaussians in the world."""

    means: Tensor  # [T, M, 3]
    quats_wxyz: Tensor  # [T, M, 4]
    log_scales: Tensor  # [M, 3]
    sh: Tensor  # [M, K, 3]
    colors: Tensor | None  # [T, M, 3]
    opacity: Tensor  # [M, 1] logit
    code: Tensor  # [M, 2] foreground share, number of the first moment
    features: Tensor | None  # [M, D]


def perform(stage: Stage, layer: Layer) -> Performance:
    """What a layer does by itself, run by its clock."""
    source, rows = stage.sources[layer.name], stage.rows(layer.name)
    moments = [_rows_of(source.model.at(layer.clock.at(time)), rows) for time in stage.times]
    first = moments[0]
    if any(((moment.scales / first.scales - 1).abs() > SAME_SIZE).any() for moment in moments):
        warn(f"layer {layer.name!r}: its Gaussians change size; they keep that of the first moment")
    colors = torch.stack([_base_color(moment) for moment in moments])
    if source.paint is not None:
        colors = colors + source.paint[rows].to(colors)
    changing = bool((colors - colors[0]).abs().max() > SAME_COLOR)
    constant = rgb_to_sh(colors[0])[:, None]
    return Performance(
        rows,
        torch.stack([moment.means for moment in moments]),
        torch.stack([F.normalize(moment.quats_wxyz, dim=-1) for moment in moments]),
        first.scales.abs().clamp_min(MIN_SCALE).log(),
        constant if changing else torch.cat([constant, source.model.sh.detach()[rows, 1:]], dim=1),
        colors if changing else None,
        _births(stage, layer, torch.stack([moment.opacities for moment in moments])),
    )


def bake_copy(stage: Stage, layer: Layer, own: Performance, copy: Pose) -> BakedLayer:
    """The layer, or one of its copies, where it is put and as it is to look."""
    model, place = stage.sources[layer.name].model, stage.placement(layer.name, stage.times, copy)
    means, quats = _world_poses(own, place)
    gain = torch.tensor(layer.gain, device=means.device)
    moves = _moves(means) | _moves(quats)
    features = None if model.features is None else model.features.detach()[own.rows]
    return BakedLayer(
        means,
        quats,
        own.log_scales + math.log(place.scale),
        _gained(_turned(layer, own.sh, place), gain),
        None if own.colors is None else own.colors * gain,
        _faded(model.params["opacity"].detach()[own.rows], layer.opacity),
        torch.stack([_foreground(model, own.rows, moves, place), own.births.to(means)], dim=1),
        features,
    )


def _world_poses(own: Performance, place: Similarity) -> tuple[Tensor, Tensor]:
    """Means [T, M, 3] and quaternions [T, M, 4]; what stands still is the same to the last bit at all moments."""
    means, quats = place.points(own.means), place.orientations(own.quats_wxyz)
    if not place.changes:
        still = ~(_moves(own.means) | _moves(own.quats_wxyz))
        means[:, still], quats[:, still] = means[:1, still], quats[:1, still]
    return means, quats


def _moves(values: Tensor) -> Tensor:
    """Which rows [M] of [T, M, C] differ between moments."""
    return (values != values[:1]).any(2).any(0)


def _rows_of(moment: Gaussians, rows: Tensor) -> Gaussians:
    base = moment.colors if moment.colors is not None else moment.sh[:, :1]
    chosen = {"colors": base[rows]} if moment.colors is not None else {"sh": base[rows]}
    geometry = (moment.means, moment.quats_wxyz, moment.scales, moment.opacities)
    return Gaussians(*(value.detach()[rows] for value in geometry), **chosen)


def _base_color(moment: Gaussians) -> Tensor:
    """RGB [M, 3] without what depends on the view."""
    return moment.colors if moment.colors is not None else sh_to_rgb(moment.sh[:, 0])


def _births(stage: Stage, layer: Layer, opacities: Tensor) -> Tensor:
    """Number [M] of the first moment of the composition at which each Gaussian is there; opacities are [T, M]."""
    times = torch.tensor(stage.times, dtype=torch.float64, device=opacities.device)
    there = (opacities > 0) & (times >= layer.appears)[:, None]
    first = there.float().argmax(0)
    vanishes = there & ~there.roll(-1, 0)
    if bool(vanishes[:-1].any()):
        warn(
            f"layer {layer.name!r}: some Gaussians vanish again as it is retimed; they stay from their first moment on"
        )
    return torch.where(there.any(0), first, len(times))


def _turned(layer: Layer, sh: Tensor, place: Similarity) -> Tensor:
    """Coefficients in world axes; what turns over time has one colour from everywhere, as none are kept per moment."""
    if sh.shape[1] == 1:
        return sh
    if place.turns:
        warn(f"layer {layer.name!r} turns over time: its colours do not depend on the view any more")
        return sh[:, :1]
    return rotated_sh(sh, quaternion_to_matrix(place.quats_wxyz[0]))


def _gained(sh: Tensor, gain: Tensor) -> Tensor:
    """Coefficients [M, K, 3] of `gain` [3] times the colour."""
    scaled = sh * gain
    scaled[:, 0] += rgb_to_sh(0.0) * (1 - gain)
    return scaled


def _faded(logits: Tensor, factor: float) -> Tensor:
    """Logits [M, 1] of `factor` times the opacity."""
    return logits if factor == 1 else (factor * logits.sigmoid()).logit().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)


def _foreground(model: GaussianModel, rows: Tensor, moves: Tensor, place: Similarity) -> Tensor:
    """Share [M]: of a tracked model its own; of all else, and of what is put in motion, whether it `moves` [M]."""
    if is_tracked(model) and not place.changes:
        return model.params[CODE_NAME].detach()[rows, 0]
    return moves.to(model.means)
