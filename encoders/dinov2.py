"""`-f dinov2`: patch features of DINOv2 (Oquab et al. 2023). Clicks find objects and parts; it knows no words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from encoders.base import Placement, register_teacher
from encoders.dinov2_net.models import DINOV2, PatchModel, find_model
from encoders.dinov2_net.network import build_network, load_network
from encoders.network import NetworkTeacher
from encoders.weights import find_any, fingerprint
from utils.errors import UserError
from utils.image_io import resize_uint8
from utils.progress import warn

MAX_TOKENS_LONG = 512
DGD_MEAN, DGD_STD = (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)
DGD = "dgd"
RANDOM = "random"


@register_teacher("dinov2")
class Dinov2Teacher(NetworkTeacher):
    """DINOv2, or any vision transformer of timm.

    Args:
        model: vits14, vitb14, vitl14, vitg14, the same with `_reg4` (registers), or timm:NAME.
        tokens_long: patches along the longer side of a picture; pictures are resized to whole patches.
        weights: a weight file; empty = found or downloaded; random = a network without knowledge.
        compat: dgd = as in DGD: own size, cropped to whole patches around the centre, normalised with 0.5 and 0.2.
        pos_interp: how the position table is resized: native (as DINOv2's own code; models without registers) or timm.
    """

    name = "dinov2"
    models = DINOV2
    batch = 8

    def __init__(
        self,
        model: str = "vits14",
        tokens_long: int = 68,
        weights: str = "",
        compat: str = "",
        pos_interp: str = "native",
    ) -> None:
        if compat not in ("", DGD) or pos_interp not in ("native", "timm") or not 1 <= tokens_long <= MAX_TOKENS_LONG:
            raise UserError(
                f"{self.name}: compat is '{compat}', pos_interp '{pos_interp}', tokens_long {tokens_long}; expected "
                f"'' or dgd, native or timm, 1 to {MAX_TOKENS_LONG}; change them"
            )
        self.spec: PatchModel = find_model(model, self.models)
        self.model, self.weights, self.tokens_long, self.compat = model, weights, tokens_long, compat
        self.native = pos_interp == "native" and self.spec.native_positions
        self.dim = self.spec.dim
        self.mean, self.std = (DGD_MEAN, DGD_STD) if compat == DGD else (self.spec.mean, self.spec.std)

    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""
        return {
            "model": self.model,
            "tokens_long": 0 if self.compat == DGD else self.tokens_long,
            "weights": self.weights if self.weights in ("", RANDOM) else fingerprint(self._find()),
            "compat": self.compat,
            "pos_interp": "native" if self.native else "timm",
        }

    def build(self) -> nn.Module:
        """See `NetworkTeacher.build`."""
        self.spec.say_licence()
        if self.weights == RANDOM:
            warn(f"{self.name}: the network has random weights, so its features mean nothing; leave out weights=random")
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return build_network(self.spec, self.native)
        return load_network(self.spec, self.native, self._find())

    def _find(self) -> Path:
        return find_any(self.spec.weights, self.weights)

    def prepare(self, image: np.ndarray) -> Tensor:
        """See `NetworkTeacher.prepare`."""
        height, width = image.shape[:2]
        if self.compat == DGD:
            left, top, columns, rows = self._crop(width, height)
            image = image[top : top + rows, left : left + columns]
        else:
            image = resize_uint8(image, *self._working_size(width, height))
        pixels = (image.astype(np.float32) / 255 - np.float32(self.mean)) / np.float32(self.std)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()

    def encode(self, network: nn.Module, batch: Tensor) -> Tensor:
        """See `NetworkTeacher.encode`."""
        return network(batch)

    def place(self, features: Tensor, size: tuple[int, int]) -> tuple[Tensor, Placement | None]:
        """See `NetworkTeacher.place`."""
        if self.compat != DGD:
            return features, None
        (width, height), patch = size, self.spec.patch
        left, top, _, _ = self._crop(width, height)
        x0, y0 = (left + patch / 2) / width, (top + patch / 2) / height
        return features, Placement(x0, patch / width, y0, patch / height)

    def _working_size(self, width: int, height: int) -> tuple[int, int]:
        """Whole patches: `tokens_long` along the longer side, the nearest number along the other."""
        tokens_per_px = self.tokens_long / max(width, height)
        return tuple(self.spec.patch * max(1, round(side * tokens_per_px)) for side in (width, height))

    def _crop(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, width, height) px of the whole patches around the centre."""
        patch = self.spec.patch
        columns, rows = width // patch * patch, height // patch * patch
        if min(columns, rows) == 0:
            raise UserError(f"a picture of {width}x{height} px has no whole patch of {patch} px; use larger pictures")
        return round((width - columns) / 2), round((height - rows) / 2), columns, rows


register_teacher("DINOv2")(Dinov2Teacher)  # DGD's name for it
