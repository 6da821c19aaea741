"""SAM as the scripts use it: one checkpoint; pictures or rendered feature maps in, embeddings for the decoder out."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from encoders.cache import checked, read_legacy
from encoders.sam_net.decoder import SamDecoder
from encoders.sam_net.frame import GRID, Frame
from encoders.sam_net.image_encoder import SamEncoder, embed
from encoders.sam_net.rendered import rendered_embedding, token_embedding
from encoders.sam_net.weight_files import find_sam, read_sam
from utils.devices import choose_device
from utils.errors import UserError
from utils.image_io import read_image

RANDOM = "random"
DEFAULT = "default"  # Meta's word for the largest model
MODEL_TYPES = {DEFAULT: "vit_h", "vit_h": "vit_h", "vit_l": "vit_l", "vit_b": "vit_b"}


class Segmenter:
    """SAM's decoder, and its image encoder once that is needed.

    Args:
        checkpoint: a `sam_vit_*.pth` file or its name; empty = found or downloaded; random = no knowledge at all.
        model_type: default, vit_h, vit_l or vit_b; default = whatever the checkpoint holds.
        device: auto, cpu, cuda ...
    """

    def __init__(self, checkpoint: str, model_type: str = DEFAULT, device: str = "auto") -> None:
        self.device = choose_device(device)
        self.path = None if checkpoint == RANDOM else find_sam(MODEL_TYPES[model_type], checkpoint)
        if self.path is not None and model_type != DEFAULT and (found := read_sam(self.path).model) != model_type:
            raise UserError(f"{self.path} is SAM {found}, --model-type is {model_type}; make them agree")
        decoder = SamDecoder.random() if self.path is None else SamDecoder.load(self.path)
        self.decoder = decoder.to(self.device)
        self._padding: dict[tuple[int, int], Tensor] = {}

    @cached_property
    def encoder(self) -> SamEncoder:
        """The image encoder; in bfloat16 on a GPU."""
        encoder = SamEncoder.random() if self.path is None else SamEncoder.load(self.path)
        return encoder.to(self.device, torch.bfloat16 if self.device.type == "cuda" else torch.float32)

    def embed(self, image: np.ndarray) -> Tensor:
        """Embedding [256, 64, 64] of a picture [H, W, 3] uint8 RGB."""
        return embed(self.encoder, image)

    def embed_rendered(self, features: Tensor, image: np.ndarray, encode_padding: bool) -> Tensor:
        """Embedding [256, 64, 64] of rendered features [256, h, w] of the view that `image` shows.

        Maps of one value per cell are taken as they are, finer ones are averaged over the cells.

        Args:
            features: with the magnitudes of the teacher.
            image: [H, W, 3] uint8 RGB.
            encode_padding: take the cells beside the picture from encoding the first picture of each shape; else zeros.
        """
        size = image.shape[1], image.shape[0]
        padding = self._encoded_padding(image) if encode_padding else None
        columns, rows = Frame(*size).cells
        fill = token_embedding if features.shape[1:] == (rows, columns) else rendered_embedding
        return fill(features.to(self.device), size, padding)

    def _encoded_padding(self, image: np.ndarray) -> Tensor | None:
        cells = Frame(image.shape[1], image.shape[0]).cells
        if cells == (GRID, GRID):
            return None
        if cells not in self._padding:
            self._padding[cells] = self.embed(image)
        return self._padding[cells]


def read_rgb(path: Path) -> np.ndarray:
    """Picture [H, W, 3] uint8; transparency is dropped."""
    return np.ascontiguousarray(read_image(path)[..., :3])


def read_features(path: Path) -> Tensor:
    """Map [256, h, w] float32 of a `*_fmap_CxHxW.pt` file; UserError if it has another width."""
    features = checked(read_legacy(path).float(), path)
    if features.shape[0] != 256:
        raise UserError(
            f"{path} has {features.shape[0]} channels; SAM's decoder expects 256; train with -f sam, or use --image"
        )
    return features
