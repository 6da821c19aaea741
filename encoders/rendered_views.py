"""The rendered pictures and feature maps in a model folder, as Feature 3DGS and `render.py` lay them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError

SPLITS = ("test", "train", "novel_views")
SUFFIX = "_fmap_CxHxW.pt"


@dataclass(frozen=True)
class RenderedView:
    """One view of a trained scene."""

    split: str
    name: str  # e.g. 00000
    picture: Path  # renders/00000.png
    features: Path | None  # saved_feature/00000_fmap_CxHxW.pt


def rendered_views(model_path: Path, iteration: int, need_features: bool) -> list[RenderedView]:
    """All rendered views of one iteration, by split and name.

    Raises:
        UserError: nothing was rendered, or feature maps are needed and missing.
    """
    views = [view for split in SPLITS for view in _views_of(model_path / split / f"ours_{iteration}", split)]
    if not views:
        places = ", ".join(f"{split}/ours_{iteration}/renders" for split in SPLITS)
        raise UserError(f"{model_path}: no pictures in {places}; expected those of render.py; run it first")
    if need_features and (bare := next((view for view in views if view.features is None), None)):
        raise UserError(
            f"{bare.picture} has no saved_feature/{bare.name}{SUFFIX}; expected one per view; "
            "run render.py with --save_features, or encode the pictures themselves with --image"
        )
    return views


def _views_of(folder: Path, split: str) -> Iterator[RenderedView]:
    for picture in sorted((folder / "renders").glob("*.png")):
        features = folder / "saved_feature" / f"{picture.stem}{SUFFIX}"
        yield RenderedView(split, picture.stem, picture, features if features.is_file() else None)
