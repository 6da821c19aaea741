"""What is left open where Gaussians are taken out of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import ndraster
import torch
from torch import Tensor

from gaussian_renderer import DEFAULT_SETTINGS, RenderSettings
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel

HOLE = 0.5  # loss of alpha from which a pixel counts as a hole


@torch.no_grad()
def lost_coverage(
    cameras: Sequence[Camera], model: GaussianModel, kept: Tensor, settings: RenderSettings = DEFAULT_SETTINGS
) -> tuple[int, int]:
    """Pixels of the views whose coverage falls by more than `HOLE` without the Gaussians outside `kept` [N] bool.

    Returns:
        their number, and the number of all pixels.
    """
    lost = total = 0
    for camera in cameras:
        before, after = (_alpha(camera, model, share, settings) for share in (torch.ones_like(kept), kept))
        lost += int((before - after > HOLE).sum())
        total += before.numel()
    return lost, total


def _alpha(camera: Camera, model: GaussianModel, shown: Tensor, settings: RenderSettings) -> Tensor:
    """Coverage [1, H, W] by the Gaussians `shown` [N] bool."""
    gaussians = model.at(camera.time)
    gaussians = replace(gaussians, opacities=gaussians.opacities * shown, features=None)
    raster = settings.raster_settings(model.drawn_sh_degree)
    return ndraster.rasterize(gaussians, camera.pinhole, None, raster, backend=settings.backend).alpha
