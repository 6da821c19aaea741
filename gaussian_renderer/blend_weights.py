"""How much each Gaussian is seen: its blending weight summed over pixels and views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gaussian_renderer import DEFAULT_SETTINGS, RenderSettings, render
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel


def blend_weights(
    cameras: Sequence[Camera], model: GaussianModel, settings: RenderSettings = DEFAULT_SETTINGS
) -> Tensor:
    """Sum over pixels and views of alpha_i T_i, [N], in pixels.

    The blended image of a one-channel feature f is sum_i f_i alpha_i T_i, so the weights are the gradient of its sum.
    """
    probe = torch.zeros(model.num_gaussians, 1, device=model.device, requires_grad=True)
    settings = replace(settings, with_features=True, feature_size=None, semantic_geometry_grad=False)
    total = torch.zeros(model.num_gaussians, device=model.device)
    for camera in cameras:
        with torch.enable_grad():
            blended = render(camera, model, settings=settings, features=probe).features.sum()
        total += torch.autograd.grad(blended, probe)[0][:, 0]
    return total
