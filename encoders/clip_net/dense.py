"""CLIP's picture tower read densely: a feature per patch instead of one per picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseClip(nn.Module):
    """Features [B, C, h, w] of pictures [B, 3, h p, w p] in the space of words (MaskCLIP, Zhou et al., ECCV 2022).

    The last block's attention, which gathers what is needed for the whole picture, is left out: every patch keeps its
    own value vector, which goes through the output projections as the class token would.

    Args:
        visual: open_clip's vision transformer with patches of p px.
    """

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, image: Tensor) -> Tensor:
        """See the class; the image is normalised as CLIP wants it."""
        visual = self.visual
        patches = visual.conv1(image)
        rows, columns = patches.shape[-2:]
        tokens = torch.cat(
            [visual.class_embedding.expand(len(image), 1, -1), patches.flatten(2).transpose(1, 2)], dim=1
        )
        tokens = visual.ln_pre(tokens + resized_positions(visual.positional_embedding, rows, columns))
        for block in visual.transformer.resblocks[:-1]:
            tokens = block(tokens)
        values = patch_values(visual.transformer.resblocks[-1], tokens[:, 1:])
        features = visual.ln_post(values) @ visual.proj
        return features.transpose(1, 2).unflatten(2, (rows, columns))


def patch_values(block: nn.Module, tokens: Tensor) -> Tensor:
    """Output-projected value vectors [B, n, width] of a block's attention."""
    attention, width = block.attn, tokens.shape[-1]
    values = F.linear(block.ln_1(tokens), attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :])
    return attention.out_proj(values)


def resized_positions(table: Tensor, rows: int, columns: int) -> Tensor:
    """Position embeddings [1 + rows columns, width] of a square table [1 + n n, width], bicubic."""
    side = round((len(table) - 1) ** 0.5)
    square = table[1:].T.unflatten(1, (side, side))[None].float()
    resized = F.interpolate(square, (rows, columns), mode="bicubic", align_corners=False)
    return torch.cat([table[:1], resized[0].flatten(1).T.to(table.dtype)])
