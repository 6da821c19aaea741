"""SAM's image encoder: timm's network, fed as SAM was trained."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from encoders.sam_net.frame import SIDE_PX, Frame
from encoders.sam_net.weight_files import read_sam
from encoders.timm_networks import create_network
from encoders.weights import load_strictly
from utils.progress import warn

MEAN = (123.675, 116.28, 103.53)  # ImageNet's, of 0..255
STD = (58.395, 57.12, 57.375)
NETWORKS = {"vit_b": "samvit_base_patch16", "vit_l": "samvit_large_patch16", "vit_h": "samvit_huge_patch16"}
AS_TRAINED = {  # timm's own: a classifier, and normalisation with another epsilon
    "num_classes": 0,
    "global_pool": "",
    "norm_layer": partial(nn.LayerNorm, eps=1e-6),
}
TINY = {"embed_dim": 32, "depth": 1, "num_heads": 1, "global_attn_indexes": ()}


class SamEncoder(nn.Module):
    """Pictures of the padded square to embeddings.

    timm's network would take other sizes, but squeezes its position table where SAM would crop it: always the square.
    """

    def __init__(self, network: nn.Module, model: str = "") -> None:
        super().__init__()
        self.network, self.model = network, model

    @classmethod
    def build(cls, model: str) -> SamEncoder:
        """vit_b, vit_l or vit_h with random weights."""
        return cls(create_network(NETWORKS[model], **AS_TRAINED), model)

    @classmethod
    def load(cls, path: Path) -> SamEncoder:
        """The encoder in a `sam_vit_*.pth` file."""
        state = read_sam(path)
        with torch.device("meta"):  # no time spent on random numbers
            encoder = cls.build(state.model)
        renamed = {name.replace("mlp.lin", "mlp.fc"): value for name, value in state.encoder.items()}
        load_strictly(encoder.network, renamed, path)
        return encoder.eval().requires_grad_(False)

    @classmethod
    def random(cls, seed: int = 0) -> SamEncoder:
        """A tiny encoder with random weights: quick, and good for nothing but trying out commands."""
        warn("SAM's image encoder is a tiny random one: its features mean nothing; give a sam_vit_*.pth file")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = create_network(NETWORKS["vit_b"], **AS_TRAINED, **TINY)
        return cls(network).eval().requires_grad_(False)

    def forward(self, batch: Tensor) -> Tensor:
        """Embeddings [B, 256, 64, 64] of prepared pictures [B, 3, 1024, 1024]."""
        return self.network(batch)


def prepare(image: np.ndarray) -> Tensor:
    """Encoder input [3, 1024, 1024] float32 of a picture [H, W, 3] uint8 RGB: scaled, normalised, zeros around it."""
    frame = Frame(image.shape[1], image.shape[0])
    scaled = Image.fromarray(np.ascontiguousarray(image)).resize(frame.shown, Image.Resampling.BILINEAR)
    pixels = (np.asarray(scaled, np.float32) - np.float32(MEAN)) / np.float32(STD)
    padded = np.zeros((SIDE_PX, SIDE_PX, 3), np.float32)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    return torch.from_numpy(padded).permute(2, 0, 1).contiguous()


@torch.inference_mode()
def embed(encoder: SamEncoder, image: np.ndarray) -> Tensor:
    """Embedding [256, 64, 64] float32 of a picture [H, W, 3] uint8 RGB, the cells of the padding included."""
    parameter = next(encoder.parameters())
    return encoder(prepare(image)[None].to(parameter))[0].float()
