"""How much rather one thing than others."""

from __future__ import annotations

import torch
from torch import Tensor


def relevance(similarity: Tensor, positives: int, temperature: float) -> Tensor:
    """[..., positives] from cosines [..., positives + negatives]: how much rather each positive than any negative.

    The least pairwise softmax over the negatives (as in LERF, Kerr et al. 2023); one half = undecided. Without
    negatives the cosines themselves.
    """
    positive, negative = similarity[..., :positives], similarity[..., positives:]
    if negative.shape[-1] == 0:
        return positive
    return torch.sigmoid((positive - negative.amax(-1, keepdim=True)) / temperature)
