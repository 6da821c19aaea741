"""Small random clouds, a camera off every axis, and where in the image the model has a hard step."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import ndraster
import pytest
import torch
from ndraster import Gaussians, PinholeCamera, RasterOutput, Settings, reference
from ndraster import constants as c
from torch import Tensor

GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
CPU = pytest.mark.skipif("cpu" not in ndraster.available_backends(), reason="no C++ compiler")
COMPILED = [pytest.param("cpu", marks=CPU), pytest.param("cuda", marks=GPU)]
IMAGES = ("color", "depth", "inverse_depth", "alpha", "median_depth", "features")


def cloud(count: int = 60, feature_width: int = 0, degree: int = 3, seed: int = 0) -> Gaussians:
    """Gaussians around the view axis, of a pixel to a third of the image; float64 that float32 represents exactly."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    means = (uniform(count, 3) - 0.5) * torch.tensor([4.0, 3.0, 4.0]) + torch.tensor([0.0, 0.0, 4.0])
    values = Gaussians(
        means=means,
        quats_wxyz=torch.nn.functional.normalize(normal(count, 4), dim=-1) * 1.01,  # used as given
        scales=torch.exp(normal(count, 3) * 0.5 - 1.8),
        opacities=uniform(count) * 0.95 + 0.05,
        sh=normal(count, (degree + 1) ** 2, 3) * 0.3,
        features=normal(count, feature_width) if feature_width else None,
    )
    return moved(values, torch.float64)


def camera(width: int = 48, height: int = 40) -> PinholeCamera:
    """Turned and shifted, with the principal point off the centre."""
    angle = 0.1
    pose = torch.eye(4)
    pose[0, 0] = pose[2, 2] = math.cos(angle)
    pose[0, 2], pose[2, 0] = math.sin(angle), -math.sin(angle)
    pose[:3, 3] = torch.tensor([0.1, -0.05, 0.3])
    return PinholeCamera(pose.double(), 45.0, 47.0, width / 2 + 2.25, height / 2 - 1.75, width, height)


def moved(gaussians: Gaussians, *where: torch.dtype | str) -> Gaussians:
    """All tensors `.to(...)`, as leaves that ask for gradients."""
    values = {f.name: getattr(gaussians, f.name) for f in fields(Gaussians)}
    for name, value in values.items():
        for target in where:
            value = value if value is None else value.detach().to(target)
        values[name] = value if value is None else value.clone().requires_grad_(True)
    return Gaussians(**values)


def gradients(gaussians: Gaussians) -> dict[str, Tensor | None]:
    """Name -> gradient (None: the loss does not reach it), for the tensors that are there."""
    return {
        f.name: getattr(gaussians, f.name).grad for f in fields(Gaussians) if getattr(gaussians, f.name) is not None
    }


def with_colors(gaussians: Gaussians) -> Gaussians:
    """The cloud with plain colours instead of spherical harmonics."""
    return replace(gaussians, sh=None, colors=(gaussians.sh[:, 0] + 0.5).detach().requires_grad_(True))


def loss_weights(output: RasterOutput, seed: int = 1) -> dict[str, Tensor]:
    """A random weight per value of every differentiable image."""
    generator = torch.Generator().manual_seed(seed)
    images = {name: getattr(output, name) for name in IMAGES if name != "median_depth"}
    images = {name: image for name, image in images.items() if image is not None}
    return {
        name: torch.randn(image.shape, generator=generator).double() / math.sqrt(image.shape[0])
        for name, image in images.items()
    }


def near_steps(gaussians: Gaussians, view: PinholeCamera, settings: Settings) -> Tensor:
    """Pixels [H, W] where float32 may take the other side of a cut-off: alpha at 1/255, stopping, the median."""
    with torch.no_grad():
        projected = reference.project(gaussians, view, settings)
        order = torch.argsort(projected.depths, stable=True)
        order = order[projected.visible[order]]
        columns, rows = torch.arange(view.width) + 0.5, torch.arange(view.height) + 0.5
        pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).double()
        offset = projected.means2d[order, None, None] - pixels
        a, b, d = (projected.conics[order, i, None, None] for i in range(3))
        power = -0.5 * (a * offset[..., 0] ** 2 + d * offset[..., 1] ** 2) - b * offset[..., 0] * offset[..., 1]
        alpha = (projected.opacities[order, None, None] * torch.exp(power)).clamp_max(c.ALPHA_MAX)
        after = torch.cumprod(1 - torch.where(alpha >= c.ALPHA_MIN, alpha, 0 * alpha), 0)
    steps = (alpha / c.ALPHA_MIN - 1).abs() < 1e-4
    steps |= (after / c.TRANSMITTANCE_MIN - 1).abs() < 1e-3
    steps |= (after / c.MEDIAN_TRANSMITTANCE - 1).abs() < 1e-5
    return steps.any(0)
