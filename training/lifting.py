"""Features without gradients: the teacher's maps of all training views lifted into the Gaussians (`ndraster.lift`).

A narrower feature is lifted from narrower maps. Let B [C, D] be the leading principal axes of the teacher's pixels and
m their mean: lifting is a weighted mean, so lift(B^T (t - m)) = B^T (lift(t) - m), and decoding with weight B and bias
m is exact up to the axes that were left out. No [N, C] tensor is needed. B may be scaled (see `start_decoder`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from ndraster import CellGrid, FeatureLift, Lifted
from torch import Tensor

from gaussian_renderer import RenderSettings
from scene.cameras import Camera
from scene.gaussian_model import FEATURE_NAME, GaussianModel
from training.distillation import Distiller
from training.parameter_surgery import forget_state
from utils.pca import leading_vectors
from utils.progress import say

if TYPE_CHECKING:
    from training.trainer import Trainer

PIXELS_PER_VIEW = 4096  # of each map, for the principal axes
TINY = 1e-12

TeacherOf = Callable[[Camera], Tensor]  # camera -> map [C, h, w]


@torch.no_grad()
def lift_features(trainer: Trainer) -> None:
    """Replace the model's features (and the decoder) by what the teacher's maps say; their optimizers start anew."""
    start = time.perf_counter()
    distiller, model = trainer.distiller, trainer.model
    known = [camera for camera in trainer.scene.train if model.motion.knows(camera.time)]
    cameras = [camera for camera in known if distiller.has_map(camera)]
    teacher_of: TeacherOf = distiller.teacher
    if distiller.decoder is not None:
        axes = start_decoder(distiller, cameras)
        teacher_of = _coordinates(teacher_of, axes)
    lifted = lift_views(model, cameras, teacher_of, distiller.width, trainer.settings, distiller.grid)
    features = model.params[FEATURE_NAME]
    num_active = model.num_gaussians  # the layers behind take part in the lift but keep what they have
    features.copy_(distiller.from_lift(lifted.features[:num_active]))
    forget_state(trainer.optimizer, features)
    seen = int((lifted.weights[:num_active] > 0).sum())
    say(
        f"iteration {trainer.iteration}: features of {len(cameras)} views lifted into {seen} of "
        f"{model.num_gaussians} Gaussians in {time.perf_counter() - start:.1f} s"
    )


def _coordinates(teacher_of: TeacherOf, axes: PrincipalAxes) -> TeacherOf:
    return lambda camera: axes.of_map(teacher_of(camera))


def start_without_lift(trainer: Trainer) -> None:
    """Before the first step of `sgd`: the decoder, if there is one, begins where a lift would put it."""
    distiller = trainer.distiller
    if distiller is not None and distiller.decoder is not None and distiller.plan.mode == "sgd":
        start_decoder(distiller, [camera for camera in trainer.scene.train if distiller.has_map(camera)])


def lift_if_missed(trainer: Trainer) -> None:
    """Lift at once where a run continues after the time of its lift without features, e.g. another program's."""
    plan = None if trainer.distiller is None else trainer.distiller.plan
    is_late = plan is not None and plan.mode == "lift+sgd" and trainer.iteration >= plan.lift_at
    if is_late and not bool(trainer.model.features.any()):
        lift_features(trainer)


@torch.no_grad()
def lift_views(
    model: GaussianModel,
    cameras: Sequence[Camera],
    teacher_of: TeacherOf,
    channels: int,
    settings: RenderSettings,
    grid_of: Callable[[Camera], CellGrid] | None = None,
) -> Lifted:
    """Weighted means [N, channels] of the maps of these views, each seen where the Gaussians are at its time.

    `grid_of` says where a map's cells lie on the image; without it the corners coincide.
    """
    gaussians, now = model.at(cameras[0].time), cameras[0].time
    running = FeatureLift(
        gaussians, channels, settings.raster_settings(model.drawn_sh_degree), backend=settings.backend
    )
    for camera in cameras:
        if camera.time != now:
            gaussians, now = model.at(camera.time), camera.time
        running.add(camera.pinhole, teacher_of(camera), gaussians, None if grid_of is None else grid_of(camera))
    return running.finish()


@dataclass(frozen=True)
class PrincipalAxes:
    """Coordinates z of teacher pixels t: t = mean + axes spread z, as far as the axes reach."""

    mean: Tensor  # [C]
    axes: Tensor  # [C, D] orthonormal
    spread: float  # how much larger coordinates along the axes are than the teacher's own channels

    @classmethod
    def of(cls, cameras: Sequence[Camera], teacher_of: TeacherOf, width: int) -> PrincipalAxes:
        """The leading axes of evenly spread teacher pixels of all views, float32."""
        count, total, moments = 0, 0.0, 0.0
        for camera in cameras:
            pixels = teacher_of(camera).flatten(1)  # [C, P]
            rows = pixels[:, :: -(-pixels.shape[1] // PIXELS_PER_VIEW)].double()
            count, total, moments = count + rows.shape[1], total + rows.sum(1), moments + rows @ rows.T
        mean, moments = total / count, moments / count
        covariance = moments - mean[:, None] * mean
        axes = leading_vectors(covariance, width)
        along, own = (axes * (covariance @ axes)).sum() / width, moments.diagonal().mean()
        return cls(mean.float(), axes.float(), float((along / own.clamp_min(TINY)).clamp_min(TINY).sqrt()))

    def of_map(self, teacher: Tensor) -> Tensor:
        """Coordinates [D, h, w] of a map [C, h, w]. The mean goes last: one float32 copy of the map is enough."""
        axes = self.axes / self.spread
        return (axes.T @ teacher.flatten(1).float() - (self.mean @ axes)[:, None]).unflatten(1, teacher.shape[1:])


@torch.no_grad()
def start_decoder(distiller: Distiller, cameras: Sequence[Camera]) -> PrincipalAxes:
    """Start the decoder with the teacher's principal axes.

    Coordinates get the size of the teacher's own channels, so that one learning rate suits features of any width.
    """
    axes = PrincipalAxes.of(cameras, distiller.teacher, distiller.width)
    distiller.set_decoder(axes.axes * axes.spread, axes.mean)
    return axes
