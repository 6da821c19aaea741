"""Numbers to colours."""

from __future__ import annotations

import colorsys

import torch
from torch import Tensor

MIN_ALPHA = 0.05
QUANTILE_SAMPLES = 1 << 16
GOLDEN_RATIO = 0.6180339887498949

# Polynomial fit of the Turbo colour map by A. Mikhailov and R. Du, Google (Apache-2.0): rows R, G, B; powers 0 to 5.
TURBO = (
    (0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943),
    (0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604),
    (0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973),
)


def turbo(x: Tensor) -> Tensor:
    """Values [H, W] in 0..1 (clamped, NaN as 0) to Turbo colours [3, H, W] in 0..1: blue, green, yellow, red."""
    x = torch.nan_to_num(x.detach().float()).clamp(0, 1)
    coefficients = torch.tensor(TURBO, device=x.device)[:, :, None, None].unbind(1)
    colors = coefficients[-1] * x
    for coefficient in coefficients[-2:0:-1]:  # Horner's rule
        colors = (colors + coefficient) * x
    return (colors + coefficients[0]).clamp(0, 1)


def depth_to_image(depth: Tensor, alpha: Tensor | None = None, limits: tuple[float, float] | None = None) -> Tensor:
    """Depth to colours [3, H, W]: red is near, blue is far, black is empty.

    Args:
        depth: [1, H, W]. With `alpha`: the rasterizer's sum of depth x weight, divided by alpha here; else plain depth.
        alpha: [1, H, W] or None.
        limits: nearest and farthest depth; None = the 1 % and 99 % quantiles of this image.
    """
    depth = depth.detach().float()[0]
    filled = torch.isfinite(depth) & (depth > 0)
    if alpha is not None:
        filled &= alpha[0] > MIN_ALPHA
        depth = depth / alpha.detach().float()[0].clamp_min(MIN_ALPHA)
    if not bool(filled.any()):
        return torch.zeros(3, *depth.shape, device=depth.device)
    near, far = depth_limits(depth[filled]) if limits is None else limits
    nearness = 1 - (depth - near) / max(far - near, 1e-12)
    return turbo(torch.where(filled, nearness, torch.zeros_like(depth))) * filled


def depth_limits(depths: Tensor) -> tuple[float, float]:
    """1 % and 99 % quantile of a non-empty tensor of depths, of large ones by evenly spread samples."""
    values = depths.detach().flatten()
    ordered = values[:: max(1, values.numel() // QUANTILE_SAMPLES)].sort().values
    last = ordered.numel() - 1
    return float(ordered[int(last * 0.01)]), float(ordered[last - int(last * 0.01)])


def palette(n: int) -> Tensor:
    """`n` well-separated colours [n, 3] in 0..1; colour i does not depend on n (hues step by the golden ratio)."""
    tones = ((0.85, 0.95), (0.85, 0.7), (0.5, 0.95))  # saturation, value
    colors = [colorsys.hsv_to_rgb(i * GOLDEN_RATIO % 1.0, *tones[i // 3 % 3]) for i in range(n)]
    return torch.tensor(colors, dtype=torch.float32).reshape(n, 3)
