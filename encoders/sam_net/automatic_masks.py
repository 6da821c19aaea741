"""All objects of a picture: a grid of points, the good answers, each object once (Kirillov et al. 2023, section B)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from scipy.ndimage import label as connected_components
from torch import Tensor
from torchvision.ops import masks_to_boxes, nms

from encoders.sam_net.decoder import LOGITS_PX, MASKS_AT_ONCE, Prompts, full_size
from encoders.sam_net.frame import SIDE_PX, Frame
from utils.errors import UserError

STABILITY_OFFSET = 1.0  # logits by which the threshold is moved up and down
EIGHT_NEIGHBOURS = np.ones((3, 3), int)


@dataclass(frozen=True)
class AutomaticOptions:
    """Which points are asked and which answers count; SAM's own defaults."""

    points_per_side: int = 32
    """Points along each side of the picture; 16 is enough on a CPU and four times as fast."""
    batch: int = 64
    """Points at a time."""
    min_iou: float = 0.88
    """Least quality that the decoder expects of a mask."""
    min_stability: float = 0.95
    """Least IoU between the masks at a threshold one logit higher and one lower."""
    max_overlap: float = 0.7
    """Boxes that overlap more (IoU) are one object; the better mask stays."""
    min_region_px: int = 0
    """Holes and islands smaller than this are removed; 0 = none."""


@dataclass(frozen=True)
class AutomaticMask:
    """One object of a picture."""

    segmentation: np.ndarray  # [H, W] bool
    bbox: tuple[int, int, int, int]  # x, y, width, height, px
    predicted_iou: float
    stability_score: float
    point: tuple[float, float]  # (x, y) px that was asked

    @property
    def area(self) -> int:
        """Pixels."""
        return int(self.segmentation.sum())


class CoarseDecoder(Protocol):
    """What is needed of `SamDecoder`."""

    def logits(
        self, embedding: Tensor, prompts: Prompts, size: tuple[int, int], multimask: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See `SamDecoder.logits`."""
        ...


@dataclass(frozen=True)
class _Candidates:
    """M masks that are still in the running."""

    coarse: Tensor  # [M, 256, 256] logits of the padded square
    ious: Tensor  # [M]
    stability: Tensor  # [M]
    boxes: Tensor  # [M, 4] x1 y1 x2 y2, pixels of the square's coarse grid
    points: Tensor  # [M, 2] px of the picture

    def __getitem__(self, chosen: Tensor) -> _Candidates:
        return _Candidates(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


@torch.inference_mode()
def automatic_masks(
    decoder: CoarseDecoder, embedding: Tensor, size: tuple[int, int], options: AutomaticOptions | None = None
) -> list[AutomaticMask]:
    """The objects of a picture of (width, height) `size` px, best first.

    Masks are filtered on the decoder's own 256 x 256 grid; only those that stay are enlarged.

    Args:
        decoder: a `SamDecoder`.
        embedding: [256, 64, 64], padding included.
        size: (width, height) of the picture, px.
        options: None = the defaults.
    """
    options = options or AutomaticOptions()
    if options.points_per_side < 1 or options.batch < 1:
        raise UserError(
            f"points_per_side is {options.points_per_side} and batch {options.batch}; expected 1 or more; change them"
        )
    found = [
        _good_answers(decoder, embedding, points, size, options)
        for points in point_grid(size, options.points_per_side).split(options.batch)
    ]
    found = _Candidates(*(torch.cat([getattr(c, name) for c in found]) for name in _Candidates.__dataclass_fields__))
    found = found[nms(found.boxes, found.ious, options.max_overlap)]
    masks = list(_enlarged(found, size))
    return without_small_regions(masks, options) if options.min_region_px > 0 else masks


def point_grid(size: tuple[int, int], per_side: int) -> Tensor:
    """Centres [n * n, 2] (x, y) px of n x n equal parts of a picture of (width, height) `size`."""
    steps = (torch.arange(per_side) + 0.5) / per_side
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], dim=1) * torch.tensor(size)


def stability(logits: Tensor) -> Tensor:
    """Area above +1 divided by area above -1, [M], of logits [M, h, w]; 0 for empty masks."""
    above, below = ((logits > offset).sum((1, 2)).float() for offset in (STABILITY_OFFSET, -STABILITY_OFFSET))
    return above / below.clamp_min(1)


def _good_answers(
    decoder: CoarseDecoder, embedding: Tensor, points: Tensor, size: tuple[int, int], options: AutomaticOptions
) -> _Candidates:
    prompts = Prompts(points[:, None], torch.ones(len(points), 1))
    coarse, ious = decoder.logits(embedding, prompts, size, multimask=True)
    points = points.to(coarse.device).repeat_interleave(coarse.shape[1], dim=0)
    coarse, ious = coarse.flatten(0, 1), ious.flatten()
    shown = _shown(coarse, size)
    steady = stability(shown)
    good = (ious > options.min_iou) & (steady >= options.min_stability) & (shown > 0).any(2).any(1)
    return _Candidates(coarse[good], ious[good], steady[good], masks_to_boxes(shown[good] > 0), points[good])


def _shown(coarse: Tensor, size: tuple[int, int]) -> Tensor:
    """The part of logits [M, 256, 256] that lies on the picture, whole pixels of the coarse grid."""
    width, height = (-(-side * LOGITS_PX // SIDE_PX) for side in Frame(*size).shown)
    return coarse[:, :height, :width]


def _enlarged(found: _Candidates, size: tuple[int, int]) -> Iterator[AutomaticMask]:
    """The masks at the picture's size; those that vanish there are left out."""
    for start in range(0, len(found.ious), MASKS_AT_ONCE):
        part = found[torch.arange(start, min(start + MASKS_AT_ONCE, len(found.ious)), device=found.ious.device)]
        for index, logits in enumerate(full_size(part.coarse, size)):
            segmentation = (logits > 0).cpu().numpy()
            if segmentation.any():
                numbers = part.ious[index].item(), part.stability[index].item()
                point = tuple(part.points[index].tolist())
                yield AutomaticMask(segmentation, bounding_box(segmentation), *numbers, point)


def bounding_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(x, y, width, height) px of a mask [H, W] that is not empty."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def without_small_regions(masks: list[AutomaticMask], options: AutomaticOptions) -> list[AutomaticMask]:
    """Masks without small holes and islands; of those that became alike, unchanged ones stay first."""
    if not masks:
        return masks
    cleaned = [remove_small_regions(mask.segmentation, options.min_region_px) for mask in masks]
    unchanged = [float((new == old.segmentation).all()) for new, old in zip(cleaned, masks, strict=True)]
    boxes = [bounding_box(mask) for mask in cleaned]
    corners = torch.tensor([(x, y, x + width, y + height) for x, y, width, height in boxes], dtype=torch.float32)
    kept = nms(corners, torch.tensor(unchanged), options.max_overlap).sort().values.tolist()
    return [replace(masks[index], segmentation=cleaned[index], bbox=boxes[index]) for index in kept]


def remove_small_regions(mask: np.ndarray, min_px: int) -> np.ndarray:
    """A mask [H, W] whose holes and islands of fewer than `min_px` pixels (8-connected) are gone; never empty."""
    holes, _ = connected_components(~mask, EIGHT_NEIGHBOURS)
    filled = mask | ((np.bincount(holes.ravel()) < min_px)[holes] & (holes > 0))
    islands, _ = connected_components(filled, EIGHT_NEIGHBOURS)
    sizes = np.bincount(islands.ravel())
    keep = sizes >= min_px
    if not keep[1:].any():
        keep[1 + sizes[1:].argmax()] = True
    keep[0] = False
    return keep[islands]
