"""One PCA basis per trained scene, so that feature pictures keep their colours from frame to frame and run to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gaussian_renderer import RenderSettings, render
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from utils.pca import Pca, fit_pca

MAX_VIEWS = 8
PIXELS_PER_VIEW = 4096
MIN_ALPHA = 0.5  # emptier pixels say nothing about the features


def scene_basis(path: Path, cameras: Sequence[Camera], model: GaussianModel, settings: RenderSettings) -> Pca:
    """The basis stored at `path`; fitted to rendered feature maps and stored there when there is none of this width."""
    if path.is_file():
        basis = Pca.load(path)
        if basis.mean.shape[0] == model.features.shape[1]:
            return basis
    basis = fit_pca(sample_features(cameras, model, settings))
    basis.save(path)
    return basis


@torch.no_grad()
def sample_features(cameras: Sequence[Camera], model: GaussianModel, settings: RenderSettings) -> Tensor:
    """Unit feature vectors [M, D] of evenly spread pixels of up to eight evenly spread views."""
    samples = [torch.empty(0, model.features.shape[1])]
    for camera in evenly_spread(cameras, MAX_VIEWS):
        output = render(camera, model, settings=settings)
        alpha = torch.nn.functional.interpolate(output.alpha[None], output.features.shape[1:], mode="area")[0, 0]
        rows = output.features[:, alpha > MIN_ALPHA].T
        samples.append(rows[:: max(1, len(rows) // PIXELS_PER_VIEW)].cpu())
    rows = torch.nn.functional.normalize(torch.cat(samples), dim=1)
    return rows if len(rows) else torch.zeros(1, rows.shape[1])


def evenly_spread(cameras: Sequence[Camera], count: int) -> list[Camera]:
    """At most `count` cameras, evenly spread over the sequence, first and last included."""
    if len(cameras) <= count:
        return list(cameras)
    return [cameras[round(i * (len(cameras) - 1) / max(count - 1, 1))] for i in range(count)]
