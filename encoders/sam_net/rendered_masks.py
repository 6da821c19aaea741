"""One object of a rendered view, from points and a box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from encoders.sam_net.decoder import Prompts
from encoders.sam_net.segmenter import Segmenter


def rendered_mask(
    segmenter: Segmenter,
    features: Tensor,  # [256, h, w] rendered, with the magnitudes of the teacher
    photo: np.ndarray,  # [H, W, 3] uint8 of a view of this size; fills the embedding beside the picture
    positive: Sequence[tuple[int, int]],
    negative: Sequence[tuple[int, int]],
    box: tuple[int, int, int, int] | None,
) -> Tensor:
    """Mask [H, W] bool of what the prompt means. A single point is unclear, so there the best of three masks counts."""
    embedding = segmenter.embed_rendered(features, photo, encode_padding=True)
    given = [*positive, *negative]
    points = torch.tensor([given], dtype=torch.float32) if given else None
    labels = torch.tensor([[1.0] * len(positive) + [0.0] * len(negative)]) if given else None
    boxes = None if box is None else torch.tensor([box], dtype=torch.float32)
    size = photo.shape[1], photo.shape[0]
    is_unclear = len(given) == 1 and box is None
    answer = segmenter.decoder.masks(embedding, Prompts(points, labels, boxes), size, multimask=is_unclear)
    return answer.best()[0].to(features.device)
