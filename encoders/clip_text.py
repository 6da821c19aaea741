"""Words in CLIP's space: the text side of LSeg and of the dense CLIP teacher.

The weights come from wherever they are: a checkpoint of LSeg holds a whole CLIP, open_clip and OpenAI publish it too.
The tokeniser's table is part of the open_clip package, so with weights at hand all of it works offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoders.clip_net.models import MODELS, import_open_clip
from encoders.clip_net.text_tower import encode_tokens, random_tower, text_tower
from encoders.lseg_net.checkpoint import FILES as LSEG_FILES
from encoders.lseg_net.checkpoint import clip_weights
from encoders.record import TeacherRecord
from encoders.text import register_text
from encoders.weights import find_any, load_weights
from utils.errors import UserError
from utils.progress import warn

BATCH = 64  # texts at a time
RANDOM = "random"  # instead of a weight file: a tower without knowledge
LSEG_MODELS = {512: "ViT-B-32", 768: "RN50x16"}  # by the width of LSeg's features: the CLIP it was trained beside


class ClipText:
    """See `TextEncoder`. Every text is encoded once."""

    def __init__(self, tower: nn.Module) -> None:
        self.dim: int = tower.text_projection.shape[1]
        self._tower = tower
        self._tokenise = import_open_clip().SimpleTokenizer(context_length=tower.context_length)
        self._known: dict[str, Tensor] = {}

    def encode(self, texts: Sequence[str]) -> Tensor:
        """See `TextEncoder.encode`."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            rows = F.normalize(encode_tokens(self._tower, self._tokenise(batch)), dim=1)
            self._known |= zip(batch, rows, strict=True)
        return torch.stack([self._known[text] for text in texts])


@register_text("Lseg_CLIP")  # as DGD calls it
@register_text("lseg")
def open_lseg_text(record: TeacherRecord, weights: str = "") -> ClipText:
    """The words of LSeg: from its checkpoint when it is here, else from the CLIP it was trained beside.

    Args:
        record: of the features.
        weights: checkpoint of LSeg or CLIP, or `random`; empty = found or downloaded.
    """
    if record.dim not in LSEG_MODELS:
        widths = " or ".join(map(str, LSEG_MODELS))
        raise UserError(f"the features of LSeg have {record.dim} channels; expected {widths}; make the features anew")
    model = LSEG_MODELS[record.dim]
    return _open(model, _chosen(record, weights), () if model != "ViT-B-32" else LSEG_FILES)


@register_text("clip")
def open_clip_text(record: TeacherRecord, weights: str = "") -> ClipText:
    """The words of the dense CLIP teacher, of the model that the record names; `weights` as above."""
    model = record.options.get("model", "ViT-B-16")
    if model not in MODELS:
        raise UserError(
            f"the features were made by CLIP '{model}'; expected one of {', '.join(MODELS)}; make them anew"
        )
    return _open(model, _chosen(record, weights), ())


def _chosen(record: TeacherRecord, weights: str) -> str:
    """What was asked for; random weights if the features were made with such."""
    return weights or (RANDOM if record.options.get("weights") == RANDOM else "")


def _open(model: str, weights: str, further_files: Sequence) -> ClipText:
    if weights == RANDOM:
        warn("clip: RANDOM weights were asked for; words mean nothing and only show that everything runs")
        return _random(model)
    path = find_any([*further_files, *MODELS[model].files], weights).resolve()
    return _from_file(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _random(model: str) -> ClipText:
    return ClipText(random_tower(model))


@lru_cache(maxsize=1)
def _from_file(path: Path, _mtime_ns: int) -> ClipText:
    """The text encoder of a file, kept until another one is opened or the file changes."""
    state = load_weights(path)
    return ClipText(text_tower(clip_weights(state) or state, path))
