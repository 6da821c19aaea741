"""Image quality on held-out views while training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import ndraster
import torch
from torch import Tensor

from scene.cameras import Camera
from scene.image_store import GroundTruth
from utils.metrics import psnr

TRAIN_SAMPLE = (5, 10, 15, 20, 25)  # indices of the training views that are measured too (static_3dgs 3)


def train_sample(cameras: Sequence[Camera]) -> list[Camera]:
    """The few training views that are reported beside the test views, each once."""
    return [cameras[i] for i in sorted({i % len(cameras) for i in TRAIN_SAMPLE})]


@torch.no_grad()
def evaluate(
    cameras: Sequence[Camera],
    draw: Callable[[Camera], Tensor],  # camera -> rendered image [3, H, W]
    truth_of: Callable[[Camera], GroundTruth],
    backend: str = "auto",  # of ndraster
) -> dict[str, float]:
    """Mean PSNR (dB, over all channels), SSIM and L1 of rendered views, clamped to 0..1, weighed as in training."""
    rows = [_figures(draw(camera).clamp(0.0, 1.0), truth_of(camera), backend) for camera in cameras]
    return {name: fmean(row[name] for row in rows) for name in ("psnr", "ssim", "l1")}


def describe_quality(figures: Mapping[str, float]) -> str:
    """Words for the figures that were measured."""
    forms = {
        "psnr": lambda value: f"PSNR {value:.2f} dB",
        "ssim": lambda value: f"SSIM {value:.4f}",
        "l1": lambda value: f"L1 {value:.4f}",
        "label_accuracy": lambda value: f"labels {100 * value:.2f} % right",
    }
    return ", ".join(forms[name](value) for name, value in figures.items())


def image_psnr(image: Tensor, truth: GroundTruth) -> float:
    """PSNR in dB of one training render [3, H, W], clamped and weighed as in `evaluate`."""
    return psnr(image.clamp(0.0, 1.0), truth.image, truth.weight)


def _figures(image: Tensor, truth: GroundTruth, backend: str) -> dict[str, float]:
    target, weight = truth.image, truth.weight
    masked = (image, target) if weight is None else (image * weight, target * weight)
    return {
        "psnr": psnr(image, target, weight),
        "ssim": float(ndraster.ssim(*masked, backend=backend)),
        "l1": float((masked[0] - masked[1]).abs().mean()),
    }
