"""The two-way transformer of SAM's mask decoder: prompt tokens and image cells attend to each other."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from encoders.sam_net.layers import Attention

WIDTH, INNER_WIDTH, MLP_WIDTH, DEPTH = 256, 128, 2048, 2


class _TokenMlp(nn.Module):
    """The block's two-layer perceptron, with the layer names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(WIDTH, MLP_WIDTH)
        self.lin2 = nn.Linear(MLP_WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.relu(self.lin1(x)))


class TwoWayBlock(nn.Module):
    """One layer. The first one replaces the tokens by their self-attention, without positions and residual."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.cross_attn_token_to_image = Attention(WIDTH, INNER_WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = _TokenMlp()
        self.norm3 = nn.LayerNorm(WIDTH)
        self.norm4 = nn.LayerNorm(WIDTH)
        self.cross_attn_image_to_token = Attention(WIDTH, INNER_WIDTH)

    def forward(
        self, tokens: Tensor, image: Tensor, token_positions: Tensor, image_positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """New tokens [B, T, 256] and image cells [B, K, 256]; positions have the shapes of what they belong to."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + token_positions
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        placed_image = image + image_positions
        read = self.cross_attn_token_to_image(tokens + token_positions, placed_image, image)
        tokens = self.norm2(tokens + read)
        tokens = self.norm3(tokens + self.mlp(tokens))
        written = self.cross_attn_image_to_token(placed_image, tokens + token_positions, tokens)
        return tokens, self.norm4(image + written)


class TwoWayTransformer(nn.Module):
    """Two layers and a last look of the tokens at the image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(first=index == 0) for index in range(DEPTH))
        self.final_attn_token_to_image = Attention(WIDTH, INNER_WIDTH)
        self.norm_final_attn = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor, image: Tensor, image_positions: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, T, 256] and cells [B, K, 256] that have seen each other; tokens are their own positions."""
        token_positions = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_positions, image_positions)
        read = self.final_attn_token_to_image(tokens + token_positions, image + image_positions, image)
        return self.norm_final_attn(tokens + read), image
