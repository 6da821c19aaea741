"""Cosines in the teacher's space at the cost of the splatted width, with or without a decoder between the two."""

from __future__ import annotations

import torch
from torch import Tensor

from gaussian_renderer.feature_decoder import LinearDecoder


def comparable_rows(features: Tensor, decoder: LinearDecoder | None) -> Tensor:
    """Rows [N, D] or [N, D + 1] whose lengths and inner products are those of the decoded features [N, C]."""
    if decoder is None:
        return features
    ones = torch.ones_like(features[:, :1])
    return torch.cat([features, ones], dim=1) @ decoder.metric_root().T


def comparable_queries(queries: Tensor, decoder: LinearDecoder | None) -> Tensor:
    """Queries [K, C] of the teacher's space as [K, D] or [K, D + 1]: rows . these = decoded features . queries.

    They may be shorter than the originals (by what the decoder cannot reach): for cosines divide by the rows' and the
    original queries' lengths.
    """
    if decoder is None:
        return queries
    affine = torch.cat([decoder.linear.weight, decoder.linear.bias[:, None]], dim=1)  # [C, D + 1]
    root = decoder.metric_root().double()
    projected = queries.to(affine).double() @ affine.double()
    return (projected @ torch.linalg.pinv(root, hermitian=True)).to(affine.dtype)
