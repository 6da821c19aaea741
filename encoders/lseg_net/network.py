"""LSeg's image network: a vision transformer under the dense prediction head of DPT (Ranftl et al., ICCV 2021).

Attribute names are those of the published checkpoints, so that their keys fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.errors import UserError

LEVELS = (1, 2, 3, 4)  # of the pyramid, at 1/4, 1/8, 1/16 and 1/32 of the input
HEAD_WIDTH = 64  # of every attention head
LAYER_NORM_EPS = 1e-6


@dataclass(frozen=True)
class LSegConfig:
    """Sizes of the network; the default is that of demo_e200.ckpt (`clip_vitl16_384`)."""

    width: int = 1024
    """Of the transformer."""
    depth: int = 24
    """Its blocks."""
    patch: int = 16
    """Side of a patch, px; 16 or 32."""
    grid: int = 24
    """Side of the stored position table, patches."""
    level_widths: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    """Channels of the pyramid's levels."""
    fusion: int = 256
    """Channels in the fusion blocks."""
    dim: int = 512
    """C, channels of a pixel feature: the width of the text embedding."""
    classes: int = 1000
    """Rows of the transformer's unused classifier."""

    @property
    def taps(self) -> tuple[int, ...]:
        """Blocks whose output feeds the levels: those that end each quarter of the transformer."""
        return tuple(self.depth * level // 4 - 1 for level in LEVELS)


BACKBONES = {
    "clip_vitl16_384": LSegConfig(),
    "clip_vitb32_384": LSegConfig(768, 12, patch=32, grid=12, level_widths=(96, 192, 384, 768)),
    "clipRN50x16_vitl16_384": replace(LSegConfig(), dim=768),
    "small": LSegConfig(64, 4, grid=4, level_widths=(16, 16, 32, 32), fusion=16, classes=10),  # ours, to try things
}


def config_of(state: Mapping[str, Tensor]) -> LSegConfig:
    """The sizes of the network whose weights these are, from the shapes of a few of them.

    Raises:
        UserError: they are not the weights of LSeg.
    """
    try:
        trunk = "pretrained.model."
        blocks = {name.split(".")[3] for name in state if name.startswith(f"{trunk}blocks.")}
        table = state[f"{trunk}pos_embed"].shape
        return LSegConfig(
            width=table[2],
            depth=len(blocks),
            patch=state[f"{trunk}patch_embed.proj.weight"].shape[-1],
            grid=round((table[1] - 1) ** 0.5),
            level_widths=tuple(state[f"pretrained.act_postprocess{level}.3.weight"].shape[0] for level in LEVELS),
            fusion=state["scratch.layer1_rn.weight"].shape[0],
            dim=state["scratch.head1.weight"].shape[0],
            classes=state[f"{trunk}head.weight"].shape[0],
        )
    except (KeyError, IndexError) as error:
        raise UserError(f"these are no weights of LSeg: {error} is missing; name a checkpoint of LSeg") from None


class LSegNet(nn.Module):
    """Pixel features [B, C, H/2, W/2] of pictures [B, 3, H, W], whose sides are multiples of 32 px."""

    def __init__(self, config: LSegConfig) -> None:
        super().__init__()
        self.config = config
        reassemble = {f"act_postprocess{level}": Reassemble(config, level) for level in LEVELS}
        self.pretrained = nn.ModuleDict({"model": _transformer(config)} | reassemble)
        reduce = {f"layer{k}_rn": _conv3(config.level_widths[k - 1], config.fusion) for k in LEVELS}
        fuse = {f"refinenet{k}": FusionBlock(config.fusion) for k in LEVELS}
        self.scratch = nn.ModuleDict(reduce | fuse | {"head1": nn.Conv2d(config.fusion, config.dim, 1)})

    def forward(self, image: Tensor) -> Tensor:
        """See the class; the image is normalised to -1..1."""
        rows, columns = (side // self.config.patch for side in image.shape[-2:])
        if image.shape[-2] % 32 or image.shape[-1] % 32:
            raise ValueError(f"input is {tuple(image.shape)}; expected sides that are multiples of 32; pad it")
        path = None
        for level, tokens in reversed(list(zip(LEVELS, self._tapped(image, rows, columns), strict=True))):
            features = self.pretrained[f"act_postprocess{level}"](tokens, rows, columns)
            features = self.scratch[f"layer{level}_rn"](features)
            block = self.scratch[f"refinenet{level}"]
            path = block(features) if path is None else block(path, features)
        return self.scratch["head1"](path)

    def _tapped(self, image: Tensor, rows: int, columns: int) -> list[Tensor]:
        """Outputs [B, 1 + rows columns, width] of the tapped blocks, class token first, before any final norm."""
        model = self.pretrained["model"]
        patches = model.patch_embed.proj(image).flatten(2).transpose(1, 2)
        tokens = torch.cat([model.cls_token.expand(len(image), -1, -1), patches], dim=1)
        tokens = tokens + resized_positions(model.pos_embed, rows, columns)
        outputs = []
        for number, block in enumerate(model.blocks):
            tokens = block(tokens)
            if number in self.config.taps:
                outputs.append(tokens)
        return outputs


def _transformer(config: LSegConfig) -> nn.Module:
    """timm's vision transformer, whose blocks and names LSeg uses unchanged."""
    try:
        from timm.models.vision_transformer import VisionTransformer
    except ModuleNotFoundError as error:
        raise UserError("LSeg needs timm, which is missing; run: pip install timm") from error
    return VisionTransformer(
        img_size=config.grid * config.patch,
        patch_size=config.patch,
        num_classes=config.classes,
        embed_dim=config.width,
        depth=config.depth,
        num_heads=config.width // HEAD_WIDTH,
        norm_layer=partial(nn.LayerNorm, eps=LAYER_NORM_EPS),
    )


def resized_positions(table: Tensor, rows: int, columns: int) -> Tensor:
    """Position embeddings [1, 1 + rows columns, width] of a square table; bilinear, as in training (timm: bicubic)."""
    side = round((table.shape[1] - 1) ** 0.5)
    square = table[:, 1:].transpose(1, 2).unflatten(2, (side, side)).float()
    resized = F.interpolate(square, (rows, columns), mode="bilinear", align_corners=False)
    return torch.cat([table[:, :1], resized.flatten(2).transpose(1, 2).to(table.dtype)], dim=1)


class Readout(nn.Module):
    """Joins the class token to every patch token: [B, 1 + n, width] -> [B, n, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * width, width), nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        patches = tokens[:, 1:]
        return self.project(torch.cat([patches, tokens[:, :1].expand_as(patches)], dim=-1))


class Reassemble(nn.ModuleDict):
    """Tokens of one tap to a map of the pyramid's level: [B, 1 + rows columns, width] -> [B, C_level, h, w]."""

    def __init__(self, config: LSegConfig, level: int) -> None:
        channels = config.level_widths[level - 1]
        parts = {"0": Readout(config.width), "3": nn.Conv2d(config.width, channels, 1)}
        scale = config.patch / 2 ** (level + 1)  # size of the level over that of the token grid
        if scale > 1:
            parts["4"] = nn.ConvTranspose2d(channels, channels, int(scale), stride=int(scale))
        elif scale < 1:
            parts["4"] = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        super().__init__(parts)

    def forward(self, tokens: Tensor, rows: int, columns: int) -> Tensor:
        """See the class."""
        grid = self["0"](tokens).transpose(1, 2).unflatten(2, (rows, columns))
        features = self["3"](grid)
        return self["4"](features) if "4" in self else features


class ResidualUnit(nn.Module):
    """Two normalised convolutions beside an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3(width, width), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3(width, width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, h, w] to the same."""
        y = self.bn1(self.conv1(F.relu(x)))
        return x + self.bn2(self.conv2(F.relu(y)))


class FusionBlock(nn.Module):
    """Adds a level to what came from the coarser ones, then doubles the size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(width, width, 1)
        self.resConfUnit1, self.resConfUnit2 = ResidualUnit(width), ResidualUnit(width)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """[B, width, h, w] (twice) -> [B, width, 2 h, 2 w]."""
        if skip is not None:
            x = x + self.resConfUnit1(skip)
        return self.out_conv(doubled(self.resConfUnit2(x)))


def doubled(x: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, C, 2 h, 2 w], bilinear with the corners' centres fixed, as in training."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def _conv3(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
