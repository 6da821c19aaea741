"""Features without gradients: the teacher's maps of all training views lifted into the Gaussians (`ndraster.lift`).

A narrower feature is lifted from narrower maps. Let B [C, D] be the leading principal axes of the teacher's pixels and
m their mean: lifting is a weighted mean, so lift(B^T (t - m)) = B^T (lift(t) - m), and decoding with weight B and bias
m is exact up to the axes that were left out. No [N, C] tensor is needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from ndraster import CellGrid, FeatureLift, Lifted
from torch import Tensor

from gaussian_renderer import RenderSettings
from scene.cameras import Camera
from scene.gaussian_model import FEATURE_NAME, GaussianModel
from training.parameter_surgery import forget_state
from utils.pca import leading_vectors
from utils.progress import say

if TYPE_CHECKING:
    from training.trainer import Trainer

PIXELS_PER_VIEW = 4096  # of each map, for the principal axes

TeacherOf = Callable[[Camera], Tensor]  # camera -> map [C, h, w]


@torch.no_grad()
def lift_features(trainer: Trainer) -> None:
    """Replace the model's features (and the decoder) by what the teacher's maps say; their optimizers start anew."""
    start = time.perf_counter()
    distiller, model = trainer.distiller, trainer.model
    cameras = [camera for camera in trainer.scene.train if distiller.has_map(camera)]
    teacher_of: TeacherOf = distiller.teacher
    if distiller.decoder is not None:
        mean, axes = principal_axes(cameras, teacher_of, distiller.width)
        distiller.set_decoder(axes, mean)
        teacher_of = _projected(teacher_of, mean, axes)
    lifted = lift_views(model, cameras, teacher_of, distiller.width, trainer.settings, distiller.grid)
    features = model.params[FEATURE_NAME]
    features.copy_(distiller.from_lift(lifted.features))
    forget_state(trainer.optimizer, features)
    seen = int((lifted.weights > 0).sum())
    say(
        f"iteration {trainer.iteration}: features of {len(cameras)} views lifted into {seen} of "
        f"{model.num_gaussians} Gaussians in {time.perf_counter() - start:.1f} s"
    )


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
        gaussians, channels, settings.raster_settings(model.active_sh_degree), backend=settings.backend
    )
    for camera in cameras:
        if camera.time != now:
            gaussians, now = model.at(camera.time), camera.time
        running.add(camera.pinhole, teacher_of(camera), gaussians, None if grid_of is None else grid_of(camera))
    return running.finish()


def principal_axes(cameras: Sequence[Camera], teacher_of: TeacherOf, width: int) -> tuple[Tensor, Tensor]:
    """Mean [C] and leading principal axes [C, width] of evenly spread teacher pixels of all views, float32."""
    count, total, moments = 0, 0.0, 0.0
    for camera in cameras:
        pixels = teacher_of(camera).flatten(1)  # [C, P]
        rows = pixels[:, :: -(-pixels.shape[1] // PIXELS_PER_VIEW)].double()
        count, total, moments = count + rows.shape[1], total + rows.sum(1), moments + rows @ rows.T
    mean = total / count
    covariance = moments / count - mean[:, None] * mean
    return mean.float(), leading_vectors(covariance, width).float()


def _projected(teacher_of: TeacherOf, mean: Tensor, axes: Tensor) -> TeacherOf:
    """Maps [D, h, w] of coordinates along the axes [C, D]. The mean goes last: one float32 copy of a map is enough."""
    offset = mean @ axes

    def project(camera: Camera) -> Tensor:
        rows = teacher_of(camera)
        return (axes.T @ rows.flatten(1).float() - offset[:, None]).unflatten(1, rows.shape[1:])

    return project
