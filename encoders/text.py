"""Words in a teacher's feature space, for those teachers that know words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from encoders.record import TeacherRecord
from utils.errors import UserError
from utils.registry import Registry

BARE = ("{}",)  # LSeg was trained on bare words
SIMPLE_TEMPLATES = ("a photo of a {}.", "a photo of the {}.", "there is a {} in the scene.", "a close-up of a {}.")
TEMPLATES = {"none": BARE, "simple": SIMPLE_TEMPLATES}

text_encoders = Registry("text encoder")
register_text = text_encoders.register


class TextEncoder(Protocol):
    """Puts words where a teacher puts the pixels that show them."""

    dim: int  # C

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Unit rows [K, C] float32 on the CPU."""
        ...


OpenText = Callable[[TeacherRecord, str], TextEncoder]  # (record, weight file or "") -> encoder


def open_text_encoder(record: TeacherRecord, weights: str = "") -> TextEncoder:
    """The words of a teacher, registered under its name with `@register_text(name)`.

    Raises:
        UserError: the teacher knows no words, or the width of its words is not that of the features.
    """
    text_encoders.discover("encoders")
    if record.name not in text_encoders:
        known = ", ".join(text_encoders.names())
        raise UserError(f"teacher '{record.name}' knows no words; text needs features of {known}; click instead")
    open_text: OpenText = text_encoders.get(record.name)
    encoder = open_text(record, weights)
    if encoder.dim != record.dim:
        raise UserError(
            f"the features are {record.dim} wide, words of '{record.name}' are {encoder.dim}; "
            "expected one space; name the teacher that made the features with -f"
        )
    return encoder


def encode_prompts(encoder: TextEncoder, prompts: Sequence[str], templates: Sequence[str] = BARE) -> Tensor:
    """Unit rows [K, C], one per prompt: the mean over the templates' unit vectors. `_` in a prompt is a space.

    Raises:
        UserError: no prompt, or an empty one.
    """
    words = [prompt.replace("_", " ").strip() for prompt in prompts]
    if not words or not all(words):
        raise UserError(f"prompts are {list(prompts)}; expected one or more words each; name what to look for")
    rows = encoder.encode([template.format(word) for word in words for template in templates])
    return F.normalize(rows.reshape(len(words), len(templates), -1).mean(1), dim=1)


def nearest_words(features: Tensor, words: Tensor) -> Tensor:
    """Index [h, w] of the unit row [K, C] that has the largest cosine with each pixel of a map [C, h, w]."""
    return torch.einsum("kc,chw->khw", words.to(features), features).argmax(0)
