"""Figures of merit: PSNR of images, IoU and accuracy of masks and label maps. Tensors or arrays, plain floats out.

Everything is computed where the first argument is.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

Array = Tensor | np.ndarray


def psnr(a: Array, b: Array, weight: Array | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(1 / MSE) over all channels; `inf` when equal.

    Args:
        a: image [..., C, H, W] in 0..1.
        b: image of the same shape.
        weight: weights broadcastable to the image, e.g. [1, H, W] with 0 = ignored.
    """
    a, b = _pair("psnr", a, b)
    squared = (a.double() - b.double()) ** 2
    if weight is None:
        mse = float(squared.mean())
    else:
        weight = _as_tensor(weight).to(squared).expand_as(squared)
        mse = float((squared * weight).sum() / weight.sum()) if float(weight.sum()) > 0 else math.nan
    return math.inf if mse == 0 else -10 * math.log10(mse)


def iou(mask_a: Array, mask_b: Array, valid: Array | None = None) -> float:
    """Intersection over union of two masks (non-zero = inside); 1 when both are empty.

    Args:
        mask_a: mask of any shape.
        mask_b: mask of the same shape.
        valid: where to count, same shape; None = everywhere.
    """
    a, b = (mask != 0 for mask in _pair("iou", mask_a, mask_b))
    if valid is not None:
        inside = _as_tensor(valid).to(a.device) != 0
        a, b = a & inside, b & inside
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def accuracy(labels: Array, target: Array, valid: Array | None = None) -> float:
    """Fraction of places where two label maps of one shape agree, counted where `valid` (NaN when nowhere)."""
    labels, target = _pair("accuracy", labels, target)
    equal = labels == target
    inside = torch.ones_like(equal) if valid is None else _as_tensor(valid).to(equal.device) != 0
    count = int(inside.sum())
    return int((equal & inside).sum()) / count if count else math.nan


def _as_tensor(values: Array) -> Tensor:
    return values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))


def _pair(name: str, a: Array, b: Array) -> tuple[Tensor, Tensor]:
    """Both as tensors where the first one is; they must have one shape."""
    first = _as_tensor(a)
    second = _as_tensor(b).to(first.device)
    if first.shape != second.shape:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"{name}: shapes {shapes} differ; expected the same; resize one")
    return first, second
