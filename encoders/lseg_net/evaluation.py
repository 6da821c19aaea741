"""How LSeg looks at a picture: at once, through sliding windows, and at several sizes.

Pictures are [B, 3, H, W], normalised to -1..1; `run` maps windows [B, 3, h, w] to features [B, C, s h, s w].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoders.lseg_net.network import doubled

Run = Callable[[Tensor], Tensor]

CROP = 480  # px, the size LSeg was trained at
STRIDE = CROP * 2 // 3
BASE_SIDE = 520  # px, long side at scale 1
SCALES = (0.75, 1.0, 1.25, 1.75)
BLACK = -1.0


def flip_averaged(network: nn.Module, image: Tensor) -> Tensor:
    """Mean of the features [B, C, H/2, W/2] of a picture and of its mirror image, mirrored back; float32."""
    straight, mirrored = network(torch.cat([image, image.flip(-1)])).float().chunk(2)
    return (straight + mirrored.flip(-1)) / 2


def slide(run: Run, image: Tensor, crop: int = CROP, stride: int = STRIDE) -> Tensor:
    """Features of a picture through overlapping windows of `crop` px, averaged where they overlap.

    The last windows of a row and a column reach over the edge and are filled up with black.
    """
    height, width = image.shape[-2:]
    total = count = None
    for top, left in product(window_starts(height, crop, stride), window_starts(width, crop, stride)):
        window = image[..., top : top + crop, left : left + crop]
        features = run(padded(window, crop, crop))
        scale = features.shape[-1] / crop
        if total is None:
            total = features.new_zeros(*features.shape[:2], int(height * scale), int(width * scale))
            count = features.new_zeros(total.shape[-2:])
        rows = slice(int(top * scale), int((top + window.shape[-2]) * scale))
        columns = slice(int(left * scale), int((left + window.shape[-1]) * scale))
        total[..., rows, columns] += features[..., : rows.stop - rows.start, : columns.stop - columns.start]
        count[rows, columns] += 1
    return total / count


def window_starts(size: int, crop: int = CROP, stride: int = STRIDE) -> list[int]:
    """First pixels of the windows along an axis of `size` px."""
    return [stride * number for number in range(math.ceil(max(size - crop, 0) / stride) + 1)]


def multi_scale(network: nn.Module, image: Tensor) -> Tensor:
    """Features [B, C, H, W] as Feature 3DGS extracts them: windows at four scales, *summed* over the scales; float32.

    So magnitudes are about four times those of one look; maps made by that program have the same.
    """
    size = tuple(image.shape[-2:])
    total = torch.zeros((), device=image.device)
    for scale in SCALES:
        scaled = resized(image, scaled_size(size, math.ceil(BASE_SIDE * scale)))
        features = slide(lambda window: doubled(flip_averaged(network, window)), scaled)
        total = total + resized(features, size)
    return total


def scaled_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """`size` with the long side changed to `long_side` and the other in proportion, rounded."""
    longest = max(size)
    height, width = (long_side if side == longest else int(side * long_side / longest + 0.5) for side in size)
    return height, width


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[B, C, h, w] at another (height, width): bilinear, corner centres fixed, not antialiased; the type is kept."""
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x.float(), size, mode="bilinear", align_corners=True).to(x.dtype)


def padded(image: Tensor, height: int, width: int) -> Tensor:
    """Black added on the right and at the bottom, up to that size."""
    return F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]), value=BLACK)
