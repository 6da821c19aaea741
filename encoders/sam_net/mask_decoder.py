"""SAM's mask decoder: four masks and their expected quality from an embedding and prompt tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from encoders.sam_net.layers import ChannelNorm, Mlp
from encoders.sam_net.transformer import WIDTH, TwoWayTransformer

NUM_MASKS = 4  # the first answers clear prompts; the others are the whole, a part and a subpart of unclear ones


class MaskDecoder(nn.Module):
    """Tokens for quality and masks go through the transformer together with the prompt; see the paper's section A."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer()
        self.iou_token = nn.Embedding(1, WIDTH)
        self.mask_tokens = nn.Embedding(NUM_MASKS, WIDTH)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(WIDTH, WIDTH // 4, 2, stride=2),
            ChannelNorm(WIDTH // 4),
            nn.GELU(),
            nn.ConvTranspose2d(WIDTH // 4, WIDTH // 8, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(Mlp(WIDTH, WIDTH, WIDTH, WIDTH // 8) for _ in range(NUM_MASKS))
        self.iou_prediction_head = Mlp(WIDTH, WIDTH, WIDTH, NUM_MASKS)

    def forward(self, image: Tensor, image_positions: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Mask logits [B, 4, 4h, 4w] and expected IoUs [B, 4].

        Args:
            image: embeddings [B, 256, h, w], with the mask prompt added.
            image_positions: [h * w, 256].
            prompts: tokens [B, P, 256].
        """
        outputs = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(len(prompts), -1, -1)
        cells = image.flatten(2).transpose(1, 2)
        tokens, cells = self.transformer(torch.cat([outputs, prompts], dim=1), cells, image_positions)
        upscaled = self.output_upscaling(cells.transpose(1, 2).unflatten(2, image.shape[2:]))
        weights = [mlp(tokens[:, 1 + index]) for index, mlp in enumerate(self.output_hypernetworks_mlps)]
        logits = torch.einsum("bmc,bchw->bmhw", torch.stack(weights, dim=1), upscaled)
        return logits, self.iou_prediction_head(tokens[:, 0])
