"""Dense maps from timm's vision transformers: one feature vector per patch, class and register tokens left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoders.dinov2_net.models import PatchModel
from encoders.timm_networks import create_network, import_timm
from encoders.weights import load_strictly, load_weights

OFFSET = 0.1  # DINOv2 adds it to the number of patches when it scales its position table


class PatchMaps(nn.Module):
    """The normalised patch tokens of the last layer as a map, for any network of timm."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, h, w] from [B, 3, H, W], normalised, sides a multiple of the patch."""
        return self.network.forward_intermediates(images, indices=1, norm=True, intermediates_only=True)[-1]


class NativePatchMaps(PatchMaps):
    """The same with the position table resized as in DINOv2's own code: no antialiasing, and a scale of its own.

    timm resizes it with antialiasing, which moves the features of other sizes than 518 x 518 visibly.
    """

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, h, w] from [B, 3, H, W], normalised, sides a multiple of the patch."""
        vit = self.network
        patches = vit.patch_embed(images)  # [B, h, w, C]
        grid = patches.shape[1:3]
        tokens = torch.cat([vit.cls_token.expand(len(images), -1, -1), patches.flatten(1, 2)], dim=1)
        tokens = tokens + native_positions(vit.pos_embed, grid)
        tokens = vit.norm(vit.blocks(vit.norm_pre(tokens)))
        return tokens[:, 1:].transpose(1, 2).unflatten(2, grid)


def native_positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Position table [1, 1 + h * w, C] of a grid (h, w) from that of the training's square grid.

    Bicubic without antialiasing, by the factors (h + 0.1) / side and (w + 0.1) / side (as DINOv2's published code).
    """
    first, square = table[:, :1], table[:, 1:]
    side = round(square.shape[1] ** 0.5)
    if tuple(grid) == (side, side):
        return table
    image = square.transpose(1, 2).unflatten(2, (side, side)).float()
    factors = tuple((count + OFFSET) / side for count in grid)
    resized = F.interpolate(image, scale_factor=factors, mode="bicubic", align_corners=False)
    return torch.cat([first, resized.flatten(2).transpose(1, 2).to(table.dtype)], dim=1)


def build_network(model: PatchModel, native: bool) -> PatchMaps:
    """The network with random weights; `native` = positions as in DINOv2's own code."""
    options = {"num_classes": 0}
    try:
        network = create_network(model.timm_name, dynamic_img_size=True, **options)
    except TypeError:  # convolutional networks take any size
        network = create_network(model.timm_name, **options)
    return NativePatchMaps(network) if native else PatchMaps(network)


def load_network(model: PatchModel, native: bool, path: Path) -> PatchMaps:
    """The network with the weights of a file in the authors' or in timm's layout.

    Raises:
        UserError: the file does not fit.
    """
    maps = build_network(model, native)
    load_strictly(maps.network, timm_layout(load_weights(path), maps.network), path)
    return maps


def timm_layout(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Weights under timm's names; a classifier that the network does without is dropped."""
    models = import_timm().models
    filters = {
        models.VisionTransformer: models.vision_transformer.checkpoint_filter_fn,
        models.Eva: models.eva.checkpoint_filter_fn,
    }
    renamed = filters.get(type(network), lambda given, _: given)(dict(state), network)
    head = f"{network.pretrained_cfg.get('classifier') or 'head'}."
    own = network.state_dict()
    return {name: value for name, value in renamed.items() if name in own or not name.startswith(head)}
