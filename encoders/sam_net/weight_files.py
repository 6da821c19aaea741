"""SAM's published weight files: where they are, and their parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from encoders.weights import WeightFile, find_weights, load_weights
from utils.errors import UserError

URL = "https://dl.fbaipublicfiles.com/segment_anything"
MODELS = {  # name -> depth of the image encoder
    "vit_b": 12,
    "vit_l": 24,
    "vit_h": 32,
}
FILES = {
    "vit_b": WeightFile(
        "sam_vit_b_01ec64.pth",
        f"{URL}/sam_vit_b_01ec64.pth",
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    "vit_l": WeightFile(
        "sam_vit_l_0b3195.pth",
        f"{URL}/sam_vit_l_0b3195.pth",
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_h": WeightFile(
        "sam_vit_h_4b8939.pth",
        f"{URL}/sam_vit_h_4b8939.pth",
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
}
ENCODER = "image_encoder."
BLOCK = re.compile(r"image_encoder\.blocks\.(\d+)\.")


@dataclass(frozen=True)
class SamState:
    """The tensors of a SAM file."""

    model: str  # vit_b, vit_l or vit_h
    encoder: dict[str, Tensor]  # names without `image_encoder.`
    decoder: dict[str, Tensor]  # prompt_encoder.* and mask_decoder.*


def find_sam(model: str, explicit: str = "") -> Path:
    """The weight file of a model (vit_b, vit_l, vit_h), or the one named explicitly.

    Raises:
        UserError: unknown model, or the file is neither here nor to be had.
    """
    return find_weights(FILES[require_model(model)], explicit)


def require_model(model: str) -> str:
    """`model` itself; UserError unless SAM has such a one."""
    if model not in MODELS:
        raise UserError(f"SAM model is '{model}'; expected {', '.join(MODELS)}; name one of them")
    return model


def read_sam(path: Path) -> SamState:
    """Read a `sam_vit_*.pth` file; the model follows from the depth of its image encoder.

    Raises:
        UserError: no SAM file, or of another depth.
    """
    state = load_weights(path)
    depth = 1 + max((int(match[1]) for name in state if (match := BLOCK.match(name))), default=-1)
    model = next((name for name, blocks in MODELS.items() if blocks == depth), None)
    if model is None:
        raise UserError(
            f"{path} has {depth} image encoder blocks; SAM has {list(MODELS.values())}; use a sam_vit_*.pth file"
        )
    encoder = {name.removeprefix(ENCODER): value for name, value in state.items() if name.startswith(ENCODER)}
    decoder = {name: value for name, value in state.items() if not name.startswith(ENCODER)}
    return SamState(model, encoder, decoder)
