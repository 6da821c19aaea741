"""Pictures of a selection: the mask of the chosen Gaussians in a view, and the view with the chosen part marked."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gaussian_renderer.frames import Frame

MASK_SHARE = 0.5  # of a pixel's blending weight that the selection must hold
MIN_ALPHA = 0.5  # emptier pixels belong to nothing
MARK_COLOR = (1.0, 0.25, 0.1)
MARK_SHARE = 0.45


def selection_mask(frame: Frame) -> Tensor:
    """Pixels [H, W] bool whose visible surface is mostly selected.

    The frame is rendered with the one-channel feature 1 = selected, 0 = not, so the map holds the selection's share of
    the blending weight; what hides the object counts against it.
    """
    share = frame.output.features[0] / frame.output.alpha[0].clamp_min(1e-6)
    return (share > MASK_SHARE) & (frame.output.alpha[0] > MIN_ALPHA)


def mask_picture(frame: Frame) -> Tensor:
    """The mask as an image [1, H, W], 1 = selected."""
    return selection_mask(frame)[None].float()


def overlay_picture(frame: Frame) -> Tensor:
    """The rendered image [3, H, W] with the selection tinted and outlined."""
    image, mask = frame.color, mask_picture(frame)
    mark = torch.tensor(MARK_COLOR, device=image.device)[:, None, None]
    tinted = image + MARK_SHARE * mask * (mark - image)
    grown = F.max_pool2d(mask[None], 3, stride=1, padding=1)[0]
    return torch.where((grown - mask) > 0, torch.ones_like(image), tinted)
