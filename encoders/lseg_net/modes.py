"""Ways to prepare a picture for LSeg and to read its map: our own, and those of Feature 3DGS and DGD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from encoders.base import Placement
from encoders.lseg_net.evaluation import flip_averaged, multi_scale, padded, resized, slide
from utils.errors import UserError
from utils.image_io import resize_uint8, to_float

CELL_PX = 2  # of the network's input, per cell of its map
MULTIPLE_PX = 32  # of the input's sides


@dataclass(frozen=True)
class Mode:
    """One way. Sizes are (width, height)."""

    long_side: int
    """Default of the side that the pictures are brought to, px."""
    unit_length: bool
    """Whether the features are made unit vectors unless asked otherwise."""
    prepare: Callable[[np.ndarray, int], Tensor]
    """(picture [H, W, 3] uint8, long side) -> network input [3, h, w]."""
    encode: Callable[[nn.Module, Tensor], Tensor]
    """(network, inputs [B, 3, h, w]) -> maps [B, C, h', w']."""
    place: Callable[[Tensor, tuple[int, int], int], tuple[Tensor, Placement | None]]
    """(map, size of the picture, long side) -> the part that shows the picture, and where it lies."""


def working_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """(width, height) with that long side, the other in proportion; even, so that whole cells cover the picture."""
    scale = long_side / max(size)
    width, height = (max(1, round(side * scale / CELL_PX)) * CELL_PX for side in size)
    return width, height


def prepare_proportional(image: np.ndarray, long_side: int) -> Tensor:
    """Antialiased, proportions kept, -1..1."""
    return 2 * to_float(resize_uint8(image, *working_size(_size(image), long_side))) - 1


def prepare_padded(image: np.ndarray, long_side: int) -> Tensor:
    """As above, with black up to the next multiples of 32 px on the right and at the bottom."""
    pixels = prepare_proportional(image, long_side)
    height, width = (-(-side // MULTIPLE_PX) * MULTIPLE_PX for side in pixels.shape[-2:])
    return padded(pixels, height, width)


def place_padded(features: Tensor, size: tuple[int, int], long_side: int) -> tuple[Tensor, None]:
    """Without the cells of the padding."""
    width, height = working_size(size, long_side)
    return features[:, : height // CELL_PX, : width // CELL_PX], None


def place_whole(features: Tensor, *_: object) -> tuple[Tensor, None]:
    """The map shows the picture from edge to edge."""
    return features, None


def slide_half(network: nn.Module, image: Tensor) -> Tensor:
    """Through windows, at the network's own half resolution."""
    return slide(lambda window: flip_averaged(network, window), image)


def prepare_feature3dgs(image: np.ndarray, width: int) -> Tensor:
    """Pictures wider than `width` become 4:3 of that width, whatever their proportions; -1..1."""
    pixels = 2 * to_float(image) - 1
    return resized(pixels[None], (width * 3 // 4, width))[0] if image.shape[1] > width else pixels


def prepare_dgd(image: np.ndarray, width: int) -> Tensor:
    """That width, the height as it is; 0..1 (not what LSeg was trained on); cut to whole pairs of patches."""
    if image.shape[0] < MULTIPLE_PX:
        raise UserError(f"a picture is {image.shape[0]} px high; mode dgd expects {MULTIPLE_PX} or more; use mode fast")
    pixels = F.interpolate(to_float(image)[None], (image.shape[0], width), mode="bilinear", align_corners=False)[0]
    height, width = (side // MULTIPLE_PX * MULTIPLE_PX for side in pixels.shape[-2:])
    return pixels[:, :height, :width]


def place_dgd(features: Tensor, size: tuple[int, int], width: int) -> tuple[Tensor, Placement]:
    """All of it; what was cut off at the right and the bottom has no cells."""
    dx, dy = CELL_PX / width, CELL_PX / size[1]
    return features, Placement(dx / 2, dx, dy / 2, dy)


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


MODES = {
    "fast": Mode(640, True, prepare_padded, flip_averaged, place_padded),
    "sliding": Mode(640, True, prepare_proportional, slide_half, place_whole),
    "feature3dgs": Mode(480, False, prepare_feature3dgs, multi_scale, place_whole),
    "dgd": Mode(1071, False, prepare_dgd, lambda network, image: network(image), place_dgd),  # int(2.23125 x 480) px
}
