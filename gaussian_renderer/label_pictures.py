"""Pictures of several labels at once: number maps, colours, overlays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gaussian_renderer.frames import Frame
from gaussian_renderer.membership import MIN_ALPHA
from gaussian_renderer.sinks import Picture, label_colors

OVERLAY_SHARE = 0.55
MAX_LABELS = 254  # a number map has one byte a pixel; 0 = nothing, 255 = "ignore" where labels are read


@dataclass(frozen=True)
class LabelField:
    """Scores of L labels for every Gaussian; blended like colours, the highest one names a pixel.

    Blending is linear: scores that are inner products with words blend to those of the blended features.
    """

    scores: Tensor  # [N, L], or [N, 1 + L] with `has_nothing`
    names: tuple[str, ...]  # of the L labels
    has_nothing: bool = False  # the first column is the score of being none of them

    def numbers(self, frame: Frame) -> Tensor:
        """Number [H, W] int64 of each pixel of a frame rendered with these scores: 0 = nothing, k + 1 = label k."""
        best = frame.output.features.argmax(0) + (0 if self.has_nothing else 1)
        return best * (frame.output.alpha[0] > MIN_ALPHA)

    def of_gaussians(self) -> Tensor:
        """Number [N] of each Gaussian itself; 0 also for those without any score."""
        best = self.scores.argmax(1) + (0 if self.has_nothing else 1)
        return best * (self.scores != 0).any(1)


def membership_field(numbers: Tensor, names: tuple[str, ...]) -> LabelField:
    """The field of Gaussians that each have one number [N]: 0 = nothing, k + 1 = label k."""
    columns = torch.nn.functional.one_hot(numbers.long(), len(names) + 1)
    return LabelField(columns.float(), names, has_nothing=True)


def number_picture(field: LabelField) -> Picture:
    """The numbers as grey values [1, H, W], n / 255."""
    return lambda frame: field.numbers(frame)[None] / 255


def any_label_picture(field: LabelField) -> Picture:
    """Where any label is, [1, H, W]."""
    return lambda frame: (field.numbers(frame)[None] > 0).float()


def color_picture(field: LabelField, palette: Tensor) -> Picture:
    """The labels in colours [L, 3], black where nothing is."""
    return lambda frame: label_colors(field.numbers(frame) - 1, palette)


def overlay_picture(field: LabelField, palette: Tensor) -> Picture:
    """The rendered image [3, H, W] tinted in the colours [L, 3] of the labels."""

    def picture(frame: Frame) -> Tensor:
        numbers = field.numbers(frame)
        tint = label_colors(numbers - 1, palette)
        return frame.color + OVERLAY_SHARE * (numbers > 0) * (tint - frame.color)

    return picture
