"""SAM's prompt encoder: points, box corners and coarse masks as tokens and maps (Kirillov et al. 2023, section A)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from encoders.sam_net.frame import GRID
from encoders.sam_net.layers import ChannelNorm

WIDTH = 256
NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT, PADDING = 0, 1, 2, 3, -1  # labels of tokens


class RandomFourierPositions(nn.Module):
    """Places in 0..1 as sines and cosines of fixed random projections (Tancik et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, WIDTH // 2))

    def forward(self, places: Tensor) -> Tensor:
        """[..., 256] from (x, y) [..., 2]; in float32, since half precision cannot tell neighbouring pixels apart."""
        matrix = self.positional_encoding_gaussian_matrix
        angles = 2 * math.pi * (2 * places.float() - 1) @ matrix.float()
        return torch.cat([angles.sin(), angles.cos()], dim=-1).to(matrix.dtype)


class PromptEncoder(nn.Module):
    """Prompts in the decoder's width of 256."""

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = RandomFourierPositions()
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, WIDTH) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, WIDTH)
        self.no_mask_embed = nn.Embedding(1, WIDTH)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, stride=2),
            ChannelNorm(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, stride=2),
            ChannelNorm(16),
            nn.GELU(),
            nn.Conv2d(16, WIDTH, 1),
        )

    def points(self, places: Tensor, labels: Tensor) -> Tensor:
        """Tokens [B, P, 256] of places [B, P, 2] in 0..1 with labels [B, P] (see the constants above)."""
        kinds = torch.cat([self.not_a_point_embed.weight, *(kind.weight for kind in self.point_embeddings)])
        placed = torch.where(labels[..., None] == PADDING, 0, self.pe_layer(places))
        return placed + kinds[labels.long() + 1]

    def masks(self, logits: Tensor | None) -> Tensor:
        """What mask logits [B, 1, 256, 256] add to the embedding: [B, 256, 64, 64]; without them [1, 256, 1, 1]."""
        if logits is None:
            return self.no_mask_embed.weight[:, :, None, None]
        return self.mask_downscaling(logits.to(self.no_mask_embed.weight.dtype))

    def cell_positions(self) -> Tensor:
        """Positions [64 * 64, 256] of the cells' centres, row by row."""
        centres = (torch.arange(GRID, device=self.no_mask_embed.weight.device) + 0.5) / GRID
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        return self.pe_layer(torch.stack([columns, rows], dim=-1).flatten(0, 1))
