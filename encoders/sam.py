"""`-f sam`: the image embeddings of Segment Anything (Kirillov et al. 2023), 256 channels at a sixteenth of 1024 px.

Good for: prompts by point and box, masks of everything (`encoders/sam_encoder`, `segment.py --sam`), decoded from
rendered features. Not good for: words (it knows none). Its magnitudes matter, so its maps are not normalised.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from encoders.base import Placement, register_teacher
from encoders.network import NetworkTeacher
from encoders.sam_net import image_encoder
from encoders.sam_net.frame import Frame
from encoders.sam_net.rendered import CHANNELS
from encoders.sam_net.weight_files import find_sam, require_model
from encoders.weights import fingerprint
from utils.errors import UserError

DEFAULT_MODEL = "vit_b"
RANDOM = "random"


@register_teacher("sam")
class SamTeacher(NetworkTeacher):
    """SAM's image encoder; maps hold the cells that lie on the picture, not those of the padding.

    Args:
        model: vit_b, vit_l or vit_h; empty = what the weight file holds, vit_b without one.
        weights: a `sam_vit_*.pth` file; empty = found or downloaded; random = a tiny network without knowledge.
    """

    name = "sam"
    dim = CHANNELS

    def __init__(self, model: str = "", weights: str = "") -> None:
        self.model, self.weights = require_model(model) if model else "", weights

    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""
        if self.weights in ("", RANDOM):
            return {"model": self.model or DEFAULT_MODEL, "weights": self.weights}
        return {"model": self.model, "weights": fingerprint(self._find())}

    def build(self) -> nn.Module:
        """See `NetworkTeacher.build`."""
        if self.weights == RANDOM:
            return image_encoder.SamEncoder.random()
        path = self._find()
        encoder = image_encoder.SamEncoder.load(path)
        if self.model not in ("", encoder.model):
            raise UserError(f"{path} is SAM {encoder.model}, model is {self.model}; leave out the model")
        return encoder

    def _find(self) -> Path:
        return find_sam(self.model or DEFAULT_MODEL, self.weights)

    def prepare(self, image: np.ndarray) -> Tensor:
        """See `NetworkTeacher.prepare`."""
        return image_encoder.prepare(image)

    def encode(self, network: nn.Module, batch: Tensor) -> Tensor:
        """See `NetworkTeacher.encode`."""
        return network(batch)

    def place(self, features: Tensor, size: tuple[int, int]) -> tuple[Tensor, Placement | None]:
        """See `NetworkTeacher.place`."""
        frame = Frame(*size)
        columns, rows = frame.cells
        return features[:, :rows, :columns], frame.placement
