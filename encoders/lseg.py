"""`-f lseg`: LSeg, whose pixels lie in the space of CLIP's words, so that a word selects what it names.

Good for: text queries and editing by words (furniture, vehicles, vegetation, buildings: it learned from ADE20K and the
like). Not good for: telling two things of one kind apart, and things without an everyday name.

The weights are a download of 1.7 GB or more, of which 1.4 GB are this network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoders.base import Placement, register_teacher
from encoders.lseg_net.checkpoint import FILES, load_network
from encoders.lseg_net.modes import MODES
from encoders.lseg_net.network import BACKBONES, LSegConfig, LSegNet
from encoders.network import NetworkTeacher
from encoders.weights import find_any, find_local, fingerprint
from utils.errors import UserError
from utils.progress import say, warn

RANDOM = "random"  # instead of a weight file: a network without knowledge
DEFAULT_BACKBONE = "clip_vitl16_384"
LICENCE = "LSeg's code is under MIT; its weights carry no licence of their own and were trained on research data sets"


@register_teacher("Lseg_CLIP")  # as DGD calls it
@register_teacher("lseg")
class LSegTeacher(NetworkTeacher):
    """Pixel features in CLIP's space of words.

    Args:
        weights: checkpoint (demo_e200.ckpt, lseg_minimal_e200.ckpt ...), its path or name; empty = the first that is
            found. `random` = a network without knowledge, to try command lines.
        mode: fast = one look and its mirror image; sliding = windows of 480 px; feature3dgs and dgd = as those
            programs do, magnitudes included.
        long_side: px that the pictures' long side (feature3dgs, dgd: width) is brought to; 0 = the mode's own.
        normalise: make features unit vectors; None = yes, except in the modes of other programs.
        backbone: the variant of the network; its sizes are taken from the weights, its number of channels must fit.
    """

    name = "lseg"
    batch = 4

    def __init__(
        self,
        weights: str = "",
        mode: str = "fast",
        long_side: int = 0,
        normalise: bool | None = None,
        backbone: str = DEFAULT_BACKBONE,
    ) -> None:
        if mode not in MODES or backbone not in BACKBONES:
            raise UserError(
                f"lseg: mode is '{mode}' and backbone '{backbone}'; "
                f"expected one of {', '.join(MODES)} and one of {', '.join(BACKBONES)}; change them"
            )
        self.mode = MODES[mode]
        self.mode_name, self.weights, self.backbone = mode, weights, backbone
        self.long_side = long_side or self.mode.long_side
        if not 32 <= self.long_side <= 4096:
            raise UserError(f"lseg: long_side is {long_side}; expected 32 to 4096 px, or 0; change it")
        self.normalise = self.mode.unit_length if normalise is None else normalise
        self.dim = BACKBONES[backbone].dim

    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""
        options = {"mode": self.mode_name, "long_side": self.long_side, "normalise": self.normalise}
        return options | {"backbone": self.backbone, "weights": self._identity()}

    def _identity(self) -> str:
        """Which weights; a published file by its name alone, so that it is the same before and after its download."""
        if self.weights == RANDOM:
            return RANDOM
        if self.weights:
            return fingerprint(find_any(FILES, self.weights))
        return (next(filter(None, map(find_local, FILES)), None) or Path(FILES[-1].name)).stem

    def build(self) -> nn.Module:
        """See `NetworkTeacher.build`."""
        if self.weights == RANDOM:
            return random_network(BACKBONES[self.backbone])
        path = find_any(FILES, self.weights)
        say(f"lseg: {path.name}. {LICENCE}")
        network = load_network(path)
        if network.config.dim != self.dim:
            raise UserError(
                f"{path} gives features of {network.config.dim} channels; expected {self.dim} of the backbone "
                f"{self.backbone}; name the backbone or another checkpoint"
            )
        return network

    def prepare(self, image: np.ndarray) -> Tensor:
        """See `NetworkTeacher.prepare`."""
        return self.mode.prepare(image, self.long_side)

    def encode(self, network: nn.Module, batch: Tensor) -> Tensor:
        """See `NetworkTeacher.encode`."""
        features = self.mode.encode(network, batch).float()
        return F.normalize(features, dim=1) if self.normalise else features

    def place(self, features: Tensor, size: tuple[int, int]) -> tuple[Tensor, Placement | None]:
        """See `NetworkTeacher.place`."""
        return self.mode.place(features, size, self.long_side)


def random_network(config: LSegConfig) -> LSegNet:
    """A network that has learned nothing, the same every time; says so."""
    warn("lseg: RANDOM weights were asked for; the features mean nothing and only show that everything runs")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LSegNet(config)
