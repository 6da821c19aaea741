"""Inner products and cosines in the teacher's space at the cost of the splatted width, with or without a decoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gaussian_renderer.feature_decoder import LinearDecoder

EPS = 1e-12


def comparable_rows(features: Tensor, decoder: LinearDecoder | None) -> Tensor:
    """Rows [N, D] or [N, D + 1] whose lengths and inner products are those of the decoded features [N, C]."""
    if decoder is None:
        return features
    ones = torch.ones_like(features[:, :1])
    return torch.cat([features, ones], dim=1) @ decoder.metric_root().T


def inner_products(
    features: Tensor,  # [N, D]
    decoder: LinearDecoder | None,
    queries: Tensor,  # [K, C] in the teacher's space
) -> Tensor:
    """[N, K]: (W f + b) . q = f . (W^T q) + b . q."""
    if decoder is None:
        return features @ queries.to(features).T
    queries = queries.to(decoder.linear.weight)
    return F.linear(features, queries @ decoder.linear.weight, queries @ decoder.linear.bias)


@torch.no_grad()
def word_cosines(
    features: Tensor,  # [N, D]
    decoder: LinearDecoder | None,
    words: Tensor,  # [K, C] in the teacher's space
) -> Tensor:
    """Cosine [N, K] of each Gaussian's decoded feature with each word; zeros for a Gaussian that was never seen."""
    lengths = comparable_rows(features, decoder).norm(dim=1, keepdim=True) * words.norm(dim=1).to(features)
    seen = (features != 0).any(1, keepdim=True)
    return inner_products(features, decoder, words) / lengths.clamp_min(EPS) * seen
