"""`-f clip`: CLIP read densely, with words. A smaller download than LSeg (0.35 GB) and open to more words, but blurry.

Good for: text queries about things that LSeg's training data lack. Not good for: crisp borders, clicks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoders.base import register_teacher
from encoders.clip_net.dense import DenseClip
from encoders.clip_net.models import MODELS, config_name, import_open_clip
from encoders.network import NetworkTeacher
from encoders.weights import find_any, fingerprint, load_strictly, load_weights
from utils.errors import UserError
from utils.image_io import resize_uint8, to_float
from utils.progress import say, warn

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
RANDOM = "random"  # instead of a weight file: a network without knowledge
TOWER = "visual."


@register_teacher("clip")
class ClipTeacher(NetworkTeacher):
    """Dense CLIP features, unit vectors.

    Args:
        model: ViT-B-16, ViT-B-32, ViT-L-14 or ViT-L-14-336.
        weights: file of that model, its path or name; empty = found or downloaded; `random` = to try command lines.
        long_side: px that the pictures' long side is brought to, rounded to whole patches.
    """

    name = "clip"
    batch = 8

    def __init__(self, model: str = "ViT-B-16", weights: str = "", long_side: int = 640) -> None:
        models = [name for name in MODELS if name.startswith("ViT")]
        if model not in models or not 32 <= long_side <= 4096:
            raise UserError(
                f"clip: model is '{model}' and long_side {long_side}; "
                f"expected one of {', '.join(models)} and 32 to 4096 px; change them"
            )
        self.model, self.weights, self.long_side = model, weights, long_side
        self.dim = MODELS[model].dim
        self.patch = int(model.split("-")[2])

    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""
        weights = self.weights
        if weights not in ("", RANDOM):
            weights = fingerprint(find_any(MODELS[self.model].files, weights))
        return {"model": self.model, "long_side": self.long_side, "weights": weights}

    def build(self) -> nn.Module:
        """See `NetworkTeacher.build`."""
        open_clip = import_open_clip()
        config = open_clip.get_model_config(config_name(self.model))
        if self.weights == RANDOM:
            warn("clip: RANDOM weights were asked for; the features mean nothing and only show that everything runs")
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return DenseClip(open_clip.CLIP(**config).visual)
        path = find_any(MODELS[self.model].files, self.weights)
        say(f"clip: {self.model} from {path.name} (MIT licence)")
        with torch.device("meta"):
            visual = open_clip.CLIP(**config).visual
        state = load_weights(path)
        tower = {name.removeprefix(TOWER): value for name, value in state.items() if name.startswith(TOWER)}
        load_strictly(visual, tower, path)
        return DenseClip(visual)

    def prepare(self, image: np.ndarray) -> Tensor:
        """See `NetworkTeacher.prepare`; sides become whole patches, so the map covers the picture edge to edge."""
        height, width = image.shape[:2]
        scale = self.long_side / max(height, width) / self.patch
        rows, columns = (max(1, round(side * scale)) for side in (height, width))
        return (to_float(resize_uint8(image, columns * self.patch, rows * self.patch)) - MEAN) / STD

    def encode(self, network: nn.Module, batch: Tensor) -> Tensor:
        """See `NetworkTeacher.encode`."""
        return F.normalize(network(batch).float(), dim=1)
