"""Random weights in the key layout and shapes of torchvision's VGG16 file and LPIPS v0.1's linear layers."""

from __future__ import annotations

import torch
from torch import Tensor

WIDTHS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256),
          17: (256, 512), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512)}  # fmt: skip
POOLED_BEFORE = (5, 10, 17, 24)  # layers after a 2x2 maximum
COMPARED = (2, 7, 14, 21, 28)  # layers whose rectified output is compared


def vgg_weights(seed: int = 0) -> dict[str, Tensor]:
    """`features.*`, and one of the classifier's keys, which LPIPS does not use."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {"classifier.6.bias": torch.zeros(1000)}
    for layer, (before, after) in WIDTHS.items():
        spread = (2 / (9 * before)) ** 0.5
        weights[f"features.{layer}.weight"] = torch.randn(after, before, 3, 3, generator=generator) * spread
        weights[f"features.{layer}.bias"] = torch.randn(after, generator=generator) * 0.1
    return weights


def linear_weights(seed: int = 1) -> dict[str, Tensor]:
    """`lin*.model.1.weight`, positive as the published ones."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [WIDTHS[layer][1] for layer in COMPARED]
    return {f"lin{k}.model.1.weight": torch.rand(1, size, 1, 1, generator=generator) for k, size in enumerate(sizes)}
