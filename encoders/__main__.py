"""Make the features of a scene: python -m encoders classical -s DATA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from encoders import open_features
from encoders.base import find_images
from utils.errors import UserError
from utils.progress import say
from utils.script import run


@dataclass(frozen=True)
class EncoderOptions:
    """Which teacher, on what."""

    teacher: tyro.conf.Positional[str]
    """classical (photos), or oracle (scenes with true labels)."""
    source_path: Annotated[str, tyro.conf.arg(aliases=["-s"])]
    """Folder of the data set."""
    images: Annotated[str, tyro.conf.arg(aliases=["-i"])] = "images"
    """Sub-folder of the pictures."""
    feature_cache: str = ""
    """Folder to write; empty = <source>/features/<teacher>."""
    dim: int = 0
    """Channels; 0 = the teacher's own choice."""
    noise: float = 0.0
    """oracle only: standard deviation of the noise."""
    segments: int = 0
    """classical only: superpixels per picture; 0 = its own choice."""


def main() -> None:
    """Read the command line and make the cache; all pictures shape the teacher."""
    chosen = tyro.cli(EncoderOptions, description=__doc__, use_underscores=True)
    options = {name: getattr(chosen, name) for name in ("dim", "noise", "segments") if getattr(chosen, name)}
    images = find_images(_existing(chosen.source_path), chosen.images)
    open_features(chosen.source_path, chosen.teacher, chosen.feature_cache, images, options=options)
    say(f"next: python train.py -s {chosen.source_path} -f {chosen.teacher}")


def _existing(folder: str) -> Path:
    if not Path(folder).is_dir():
        raise UserError(f"{folder} is not a folder; expected a data set; check -s")
    return Path(folder)


if __name__ == "__main__":
    run(main)
