"""What views say about single Gaussians: how much each shows, and whether it hangs in front of surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gaussian_renderer import DEFAULT_SETTINGS, RenderSettings, render
from scene.cameras import Camera
from scene.cleaning import Evidence
from scene.gaussian_model import GaussianModel

CLEARLY = 0.9  # of the depth of the surface: what is nearer lies in front of it


def evidence_of(
    cameras: Sequence[Camera], model: GaussianModel, settings: RenderSettings = DEFAULT_SETTINGS
) -> Evidence:
    """The evidence of these views; one rendering and one backward pass for each.

    The blended image of a feature f is sum_i f_i w_ip, so that gradients of its weighted sums are sums of the blending
    weights w_ip: over all pixels p, over those that show a surface, and of its depth there. The surface of a pixel is
    where half of the light is stopped.
    """
    weight, front = torch.zeros(2, len(model), device=model.device)
    for camera in cameras:
        depths = _depths(camera, model)
        total, on_surface, depth = (part[: len(model)] for part in _weight_sums(camera, model, len(depths), settings))
        near = depths[: len(model)] * on_surface < CLEARLY * depth
        weight += total
        front += torch.where(near & (on_surface > 0), on_surface, torch.zeros_like(on_surface))
    return Evidence(weight, front / weight.clamp_min(torch.finfo(weight.dtype).tiny))


def _weight_sums(
    camera: Camera, model: GaussianModel, num_drawn: int, settings: RenderSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over pixels, each [M]: of the weights, of those at surfaces, and of those times the surface's depth."""
    probe = torch.zeros(num_drawn, 3, device=model.device, requires_grad=True)
    settings = replace(settings, with_features=True, feature_size=None, semantic_geometry_grad=False)
    with torch.enable_grad():
        output = render(camera, model, settings=settings, features=probe)
        surface = output.median_depth.detach()[0]
        factors = torch.stack([torch.ones_like(surface), (surface > 0).to(surface), surface])
        sums = torch.autograd.grad((output.features * factors).sum(), probe)[0]
    return sums[:, 0], sums[:, 1], sums[:, 2]


@torch.no_grad()
def _depths(camera: Camera, model: GaussianModel) -> Tensor:
    """Camera z [M] at the moment of the view, of all that is drawn, which begins with the model's own Gaussians."""
    means = model.at(camera.time).means
    row = camera.world_to_camera[2].to(means)
    return means @ row[:3] + row[3]
