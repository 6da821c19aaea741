"""`-f dinov3`: patch features of DINOv3 (Simeoni et al. 2025). Its weights have a licence of their own: read it."""

from __future__ import annotations

from encoders.base import register_teacher
from encoders.dinov2 import Dinov2Teacher
from encoders.dinov2_net.models import DINOV3


@register_teacher("dinov3")
class Dinov3Teacher(Dinov2Teacher):
    """DINOv3: rotary positions, patches of 16 px.

    Args:
        model: vits16, vits16plus, vitb16, vitl16, vith16plus, or timm:NAME.
        tokens_long: patches along the longer side of a picture.
        weights: a weight file; empty = found or downloaded; random = a network without knowledge.
    """

    name = "dinov3"
    models = DINOV3

    def __init__(self, model: str = "vits16", tokens_long: int = 60, weights: str = "") -> None:
        super().__init__(model, tokens_long, weights, pos_interp="timm")
