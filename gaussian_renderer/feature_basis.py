"""One PCA basis per trained scene, so that feature pictures keep their colours from frame to frame and run to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gaussian_renderer import RenderSettings, render
from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.feature_space import comparable_rows, inner_products
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from utils.pca import Pca, fit_pca

MAX_VIEWS = 8
PIXELS_PER_VIEW = 4096
MIN_ALPHA = 0.5  # emptier pixels say nothing about the features
EPS = 1e-12

Item = TypeVar("Item")


def scene_basis(
    path: Path,
    cameras: Sequence[Camera],
    model: GaussianModel,
    settings: RenderSettings,
    decoder: LinearDecoder | None = None,
) -> Pca:
    """The basis stored at `path`; fitted to rendered feature maps and stored there when there is none of this width.

    It lives in the teacher's space [C], so that the teacher's own maps get the same colours.
    """
    width = model.feature_dim if decoder is None else decoder.teacher_dim
    if path.is_file():
        basis = Pca.load(path)
        if basis.mean.shape[0] == width:
            return basis
    basis = fitted_basis(cameras, model, settings, decoder)
    basis.save(path)
    return basis


def fitted_basis(
    cameras: Sequence[Camera], model: GaussianModel, settings: RenderSettings, decoder: LinearDecoder | None = None
) -> Pca:
    """A basis of what the cameras see of a model, in the teacher's space [C]."""
    samples = sample_features(cameras, model, settings)
    with torch.no_grad():
        return fit_pca(unit_rows(samples if decoder is None else decoder(samples.to(model.device)).cpu()))


@torch.no_grad()
def sample_features(cameras: Sequence[Camera], model: GaussianModel, settings: RenderSettings) -> Tensor:
    """Feature vectors [M, D] of spread pixels of up to eight spread views; one zero row if all is empty."""
    samples = []
    for camera in evenly_spread(cameras, MAX_VIEWS):
        output = render(camera, model, settings=settings)
        alpha = F.interpolate(output.alpha[None], output.features.shape[1:], mode="area")[0, 0]
        rows = output.features[:, alpha > MIN_ALPHA].T
        samples.append(rows[:: max(1, len(rows) // PIXELS_PER_VIEW)].cpu())
    rows = torch.cat(samples)
    return rows if len(rows) else torch.zeros(1, model.feature_dim)


def unit_rows(rows: Tensor) -> Tensor:
    """Rows [M, C] of length 1; zeros stay."""
    return F.normalize(rows, dim=1)


@dataclass(frozen=True)
class FeatureColors:
    """Feature maps as colours, through one basis of the teacher's space, without a map of the teacher's width."""

    basis: Pca  # of that space [C]
    decoder: LinearDecoder | None = None
    """From the features to that space; None = they live there."""

    def of(self, features: Tensor) -> Tensor:
        """Colours [3, h, w] in 0..1 of a map [D, h, w]; black where it is zero. Lengths do not matter."""
        rows = features.flatten(1).T
        lengths = comparable_rows(rows, self.decoder).norm(dim=1, keepdim=True)
        unit = inner_products(rows, self.decoder, self.basis.basis.T) / lengths.clamp_min(EPS)
        shown = (rows != 0).any(1, keepdim=True)
        return (self._along_axes.apply(unit) * shown).T.reshape(3, *features.shape[1:])

    @cached_property
    def _along_axes(self) -> Pca:
        """The basis for vectors that are given by their inner products with its axes."""
        basis = self.basis
        return Pca(basis.mean @ basis.basis, torch.eye(basis.basis.shape[1]), basis.low, basis.high)


def evenly_spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly spread over the sequence, first and last included."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(count - 1, 1))] for i in range(count)]
