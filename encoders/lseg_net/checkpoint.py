"""What is in a checkpoint of LSeg: the image network, and the whole of the CLIP that it was trained beside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from encoders.lseg_net.network import LSegNet, config_of
from encoders.weights import WeightFile, load_strictly, load_weights

FILES = (
    WeightFile("demo_e200.ckpt", help="Google Drive file 1ayk6NXURI_vIPlym16f_RG3ffxBWHxvb"),
    WeightFile("lseg_minimal_e200.ckpt", hub=("IsaacLabe/Lseg_minimal_model", "lseg_minimal_e200.ckpt")),
)
WRAPPER = "net."  # before every key of a PyTorch Lightning checkpoint
CLIP = "clip_pretrained."
LABEL_BLOCKS = "scratch.head_block."  # act on label scores, never on features


def without_wrapper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys as in the bare network; of a wrapped one only what is wrapped."""
    wrapped = {name.removeprefix(WRAPPER): value for name, value in state.items() if name.startswith(WRAPPER)}
    return wrapped or dict(state)


def image_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of `LSegNet` in a checkpoint."""
    bare = without_wrapper(state)
    return {name: value for name, value in bare.items() if not name.startswith((CLIP, LABEL_BLOCKS))}


def clip_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of CLIP in a checkpoint, under CLIP's own names; empty when there are none.

    CLIP was frozen in training, so they are OpenAI's: a checkpoint of LSeg is enough for text.
    """
    bare = without_wrapper(state)
    return {name.removeprefix(CLIP): value for name, value in bare.items() if name.startswith(CLIP)}


def load_network(path: Path) -> LSegNet:
    """The image network of a checkpoint, its variant inferred from the shapes.

    Raises:
        UserError: the file is damaged, or holds another network.
    """
    weights = image_weights(load_weights(path))
    config = config_of(weights)
    with torch.device("meta"):
        network = LSegNet(config)
    load_strictly(network, weights, path)
    return network
