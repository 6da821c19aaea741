"""Image and feature losses by name, and their weighted sum."""

from __future__ import annotations

from collections.abc import Mapping

import ndraster
import torch.nn.functional as F
from torch import Tensor

from utils.registry import Registry

LOSSES = Registry("loss")


@LOSSES.register("l1")
def l1_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference of two maps [C, H, W]; both are multiplied by `weight` [1, H, W] in 0..1."""
    return _weighted_difference(prediction, target, weight).abs().mean()


@LOSSES.register("l2")
def l2_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared difference of two maps [C, H, W]; both are multiplied by `weight` [1, H, W] in 0..1."""
    return _weighted_difference(prediction, target, weight).square().mean()


@LOSSES.register("cosine")
def cosine_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """One minus the cosine of the channel vectors of two maps [C, H, W], averaged over the pixels."""
    distance = 1.0 - F.cosine_similarity(prediction, target, dim=0, eps=1e-6)  # [H, W]
    return (distance if weight is None else distance * weight[0]).mean()


@LOSSES.register("dssim")
def dssim_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None, backend: str = "auto") -> Tensor:
    """1 - SSIM of two images [3, H, W] (Wang et al. 2004; 11 px window, sigma 1.5 px); not halved, as in 3DGS."""
    if weight is not None:
        prediction, target = prediction * weight, target * weight
    return 1.0 - ndraster.ssim(prediction, target, backend=backend)


def image_losses(
    color: Tensor,  # [3, H, W] rendered, not clamped
    target: Tensor,  # [3, H, W] in 0..1, on the same background
    weight: Tensor | None = None,  # [1, H, W] in 0..1; 0 = ignore the pixel
    backend: str = "auto",  # of ndraster
) -> dict[str, Tensor]:
    """The two terms of the photometric loss of 3DGS, by name (`photometric_weights` gives their factors)."""
    return {"l1": l1_loss(color, target, weight), "dssim": dssim_loss(color, target, weight, backend)}


def photometric_weights(lambda_dssim: float) -> dict[str, float]:
    """Factors of `image_losses`: (1 - lambda) L1 + lambda (1 - SSIM), Kerbl et al. 2023, eq. 7."""
    return {"l1": 1.0 - lambda_dssim, "dssim": lambda_dssim}


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sum of the named scalars times their weights; a term without a weight counts once."""
    first, *others = (value * weights.get(name, 1.0) for name, value in losses.items())
    return sum(others, start=first)


def _weighted_difference(prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    difference = prediction - target
    return difference if weight is None else difference * weight
