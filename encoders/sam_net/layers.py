"""The parts that SAM's prompt encoder and mask decoder are made of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention whose queries, keys and values may work at a smaller width than its input."""

    def __init__(self, width: int, inner_width: int, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, inner_width)
        self.k_proj = nn.Linear(width, inner_width)
        self.v_proj = nn.Linear(width, inner_width)
        self.out_proj = nn.Linear(inner_width, width)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """[B, Q, width] from queries [B, Q, width] and keys, values [B, K, width]."""
        split = [
            projection(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, tokens, inner / heads]
            for projection, tokens in ((self.q_proj, queries), (self.k_proj, keys), (self.v_proj, values))
        ]
        return self.out_proj(F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Linear layers with ReLU between them; `widths` from input to output."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, x: Tensor) -> Tensor:
        """[..., widths[-1]] from [..., widths[0]]."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of maps [B, C, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)
