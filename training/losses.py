"""The image losses and their weighted sum; the feature losses are `ndraster.feature_distance`."""

from __future__ import annotations

from collections.abc import Mapping

import ndraster
import torch
from ndraster import RasterOutput
from torch import Tensor

from scene.image_store import GroundTruth


def l1_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference of two maps [C, H, W]; both are multiplied by `weight` [1, H, W] in 0..1."""
    return ndraster.feature_distance(prediction, target, "l1", weight)


def image_loss(
    color: Tensor,  # [3 | 4, H, W] rendered, not clamped; the fourth channel is alpha
    target: Tensor,  # [3 | 4, H, W] in 0..1, on the same background
    lambda_dssim: float,
    weight: Tensor | None = None,  # [1, H, W] in 0..1; 0 = ignore the pixel
    backend: str = "auto",  # of ndraster
) -> Tensor:
    """The photometric loss of 3DGS, (1 - lambda) L1 + lambda (1 - SSIM) (Kerbl et al. 2023, eq. 7)."""
    if weight is not None:
        color, target = color * weight, target * weight
    return ndraster.photometric_loss(color, target, lambda_dssim, backend)


def compared(output: RasterOutput, truth: GroundTruth, with_alpha: bool) -> tuple[Tensor, Tensor]:
    """A rendered view and what it should be, [3, H, W] or, with the transparency of both behind the colours, [4, H, W].

    A picture without transparency is compared by its colours.
    """
    if not with_alpha or truth.alpha is None:
        return output.color, truth.image
    return torch.cat([output.color, output.alpha]), torch.cat([truth.image, truth.alpha])


def foreground_loss(
    share: Tensor,  # [1, H, W] rendered share of the foreground, over black
    alpha: Tensor,  # [1, H, W] rendered
    mask: Tensor,  # [1, H, W] in 0..1, 1 = foreground
    lambda_dssim: float,
    weight: Tensor | None = None,  # [1, H, W] in 0..1; 0 = ignore the pixel
    backend: str = "auto",  # of ndraster
) -> Tensor:
    """`image_loss` of the pictures (foreground, nothing, background), which also asks for opaque pixels everywhere.

    (Luiten et al. 2024; that the middle channel counts in the means is part of the published weight.)
    """
    nothing = torch.zeros_like(share)
    drawn, wanted = torch.cat([share, nothing, alpha - share]), torch.cat([mask, nothing, 1 - mask])
    return image_loss(drawn, wanted, lambda_dssim, weight, backend)


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sum of the named scalars times their weights; a term without a weight counts once."""
    first, *others = (value * weights[name] if name in weights else value for name, value in losses.items())
    return sum(others, start=first)
