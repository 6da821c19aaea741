"""Paint that propagates: the changes of one edited picture go onto the Gaussians that are seen in it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from ndraster import Gaussians
from torch import Tensor

from gaussian_renderer import DEFAULT_SETTINGS, RenderSettings, render
from gaussian_renderer.anchors import project
from gaussian_renderer.mask_lifting import lift_masks
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from scene.prompts import SAME_SURFACE

ROUNDS = 20  # of the solver; each sharpens what the mean over pixels has blurred
UNCHANGED = 1.5 / 255  # smaller differences come from rounding to bytes


@dataclass(frozen=True)
class PaintedView:
    """An edited picture of a view."""

    camera: Camera
    """At the picture's size, and at the moment that it shows."""
    image: Tensor  # [3, H, W] in 0..1
    mask: Tensor | None = None  # [1, H, W] where it counts, 0..1; None = everywhere


@torch.no_grad()
def painted_colors(
    model: GaussianModel,
    view: PaintedView,
    background: Tensor | None = None,  # [3]
    settings: RenderSettings = DEFAULT_SETTINGS,
) -> Tensor:
    """What is to be added to the RGB of each Gaussian, [N, 3], for the view to look like the edited picture.

    The difference between both is shared out by blending weights and the rest once more, which is a preconditioned
    least-squares solver (SIRT, Gregor and Benson 2008). No Gaussian changes by more than the picture does. What lies
    behind the surface stays as it is, though some of it may shine through.
    """
    camera = view.camera
    output = render(camera, model, background, settings=settings)
    difference = view.image.to(output.color) - output.color.clamp(0, 1)
    difference = torch.where(difference.abs().amax(0) > UNCHANGED, difference, 0.0)
    if view.mask is not None:
        difference = difference * view.mask.to(difference)
    shown = on_surface(camera, model.at(camera.time), output.median_depth)[:, None]
    low, high = difference.flatten(1).amin(1).clamp_max(0), difference.flatten(1).amax(1).clamp_min(0)
    colors = torch.zeros(len(model), 3, device=model.device)
    for _ in range(ROUNDS):
        rest = difference - render(camera, model, settings=settings, features=colors).features
        colors += lift_masks(model, [(camera, rest)], settings).features * shown
        colors = torch.minimum(torch.maximum(colors, low), high)
    return colors


def on_surface(camera: Camera, gaussians: Gaussians, depth: Tensor) -> Tensor:
    """Which Gaussians [N] lie in the picture, and reach the surface of the depth map [1, H, W] or are before it."""
    pixels, z = project(camera, gaussians.means)
    columns, rows = pixels.floor().long().unbind(1)
    inside = (z > 0) & (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    surface = depth[0, rows.clamp(0, camera.height - 1), columns.clamp(0, camera.width - 1)]
    return inside & (z - gaussians.scales.amax(1) <= surface * (1 + SAME_SURFACE))
