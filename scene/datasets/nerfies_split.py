"""Which frames of the Nerfies family are trained on and which are held out.

Rules: what Deformable 3DGS and DGD do with the authors' downloads, told apart by the folder above the scene.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scene.datasets.pictures import few
from scene.scene_info import DatasetError


@dataclass(frozen=True)
class SplitRule:
    """Frames of a kind of data set and the usual size of its pictures."""

    words: str
    """For the user."""
    train: tuple[str, slice]
    """List of `dataset.json` and the part of it that is trained on."""
    test: tuple[str, slice]
    """The same for the frames that are held out."""
    ratio: float
    """Size of the pictures relative to the cameras'."""


_WHOLE, _NONE = slice(None), slice(0)
_LISTS = (("train_ids", _WHOLE), ("val_ids", _WHOLE))
RULES = {
    "vrig": SplitRule("vrig, train_ids and val_ids", *_LISTS, 0.25),
    "interp": SplitRule("interp, every 4th frame", ("ids", slice(0, None, 4)), ("ids", slice(2, None, 4)), 0.5),
    "all": SplitRule("all, no frame held out", ("ids", _WHOLE), ("ids", _NONE), 0.5),
    "nerfds": SplitRule("nerfds, train_ids and val_ids", *_LISTS, 1.0),
}
LISTED = SplitRule("train_ids and val_ids", *_LISTS, 0.5)
"""Folders that no name tells apart."""
RULE_OF_PREFIX = {"vrig": "vrig", "NeRF": "nerfds", "interp": "interp", "misc": "all"}
"""The folder above the scene starts with one of these in the authors' downloads."""


def choose_rule(folder: Path, document: Mapping, wanted: str) -> SplitRule:
    """The rule for a data set.

    Args:
        folder: the data set; `auto` looks at the name of the folder above.
        document: content of `dataset.json`.
        wanted: value of `--nerfies_split`.
    """
    if wanted in RULES:
        return RULES[wanted]
    if wanted != "auto":
        raise DatasetError(f"--nerfies_split {wanted}: expected auto, {', '.join(RULES)}; choose one of them")
    parent = Path(os.path.abspath(folder)).parent.name
    for prefix, name in RULE_OF_PREFIX.items():
        if parent.startswith(prefix):
            return RULES[name]
    return LISTED if document.get("train_ids") and document.get("val_ids") else RULES["all"]


def split_ids(document: Mapping, rule: SplitRule, source: Path) -> tuple[list[str], list[str]]:
    """(train, test) ids of the frames.

    Args:
        document: content of `dataset.json`.
        rule: which of them.
        source: that file, for messages.
    """
    (train_key, train_part), (test_key, test_part) = rule.train, rule.test
    train, test = _ids(document, train_key, source)[train_part], _ids(document, test_key, source)[test_part]
    both = sorted(set(train) & set(test))
    if both:
        raise DatasetError(f"{source}: {few(both)} are in train_ids and in val_ids; remove them from one list")
    return train, test


def _ids(document: Mapping, key: str, source: Path) -> list[str]:
    """A list of frame ids, none of them twice."""
    ids = document.get(key)
    if not isinstance(ids, list) or not all(isinstance(frame, str) and Path(frame).name == frame for frame in ids):
        raise DatasetError(f"{source}: has no list {key} of frame names; add it, or choose another --nerfies_split")
    if len(set(ids)) < len(ids):
        raise DatasetError(f"{source}: {key} names {len(ids) - len(set(ids))} frames twice; remove them")
    return ids
