"""Aligns relative depth maps with a COLMAP reconstruction, for train.py --depths.

    python utils/make_depth_scale.py --base_dir data/scene --depths_dir data/scene/depths

The maps are PNGs of inverse depth up to scale and offset (larger = nearer; 16 bits are best), named as the images.
Writes `depth_params.json` beside the model's images.bin.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scene.datasets.colmap import choose_model, model_folders  # noqa: E402
from scene.datasets.colmap_model import Ending  # noqa: E402
from scene.datasets.depth_scale import Alignments, align_maps  # noqa: E402
from scene.datasets.depths import PARAMS_FILE  # noqa: E402
from scene.datasets.pictures import few  # noqa: E402
from utils.errors import UserError  # noqa: E402
from utils.files import write_json  # noqa: E402
from utils.progress import say, warn  # noqa: E402
from utils.script import run  # noqa: E402


@dataclass(frozen=True)
class Options:
    """What to align."""

    base_dir: Path
    """COLMAP data set, with sparse/0."""
    depths_dir: Path
    """Folder of the depth maps."""
    model_type: Ending = "bin"
    """Which files of the model to read, if there are both."""


def align(options: Options) -> Path:
    """Align all maps and write the file; returns its path."""
    for folder in (options.base_dir, options.depths_dir):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected a COLMAP data set and its depth maps; check the path")
    if not model_folders(options.base_dir):
        raise UserError(f"{options.base_dir}: no sparse/0 with images.bin or images.txt; expected a COLMAP data set")
    model, notes = choose_model(options.base_dir)
    for note in notes:
        warn(note)
    found = align_maps(model, options.depths_dir, options.model_type)
    path = model / PARAMS_FILE
    write_json(path, found.by_name)
    report(found)
    say(f"written: {path}")
    say(f"next: python train.py -s {options.base_dir} -d {options.depths_dir.name}")
    return path


def report(found: Alignments) -> None:
    """Say how many maps fit, and what is wrong with the others."""
    usable = Counter(alignment.scale > 0 for alignment in found.by_name.values())
    say(f"{usable[True]} of {len(found.by_name)} maps aligned")
    if usable[False]:
        warn(f"{usable[False]} maps have too few points, no range or the wrong sense; training leaves them out")
    if found.reversed:
        names = few(found.reversed)
        warn(f"{len(found.reversed)} maps are larger where things are farther ({names}); expected inverse depth")
    if found.unmapped:
        warn(f"{len(found.unmapped)} images have no map ({few(found.unmapped)})")


def main() -> None:
    """Read the command line and align."""
    align(tyro.cli(Options, description=__doc__, use_underscores=True))


if __name__ == "__main__":
    run(main)
