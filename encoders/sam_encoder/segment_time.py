"""Full automatic segmentation per second, from pictures (SAM's usual way) or from rendered features.

    python encoders/sam_encoder/segment_time.py --checkpoint sam_vit_h_4b8939.pth \\
        --image_path output/room/test/ours_7000/renders --feature_path output/room/test/ours_7000/saved_feature

The first view only warms up and is not counted; the device is waited for before the clock is read.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import tyro

from encoders.rendered_views import SUFFIX
from encoders.sam_net.automatic_masks import AutomaticOptions, automatic_masks
from encoders.sam_net.segmenter import DEFAULT, Segmenter, read_features, read_rgb
from utils.errors import UserError
from utils.files import write_json
from utils.progress import say
from utils.script import run


@dataclass(frozen=True)
class TimeOptions:
    """What is timed."""

    image_path: str
    """Folder of rendered pictures (*.png)."""
    feature_path: str = ""
    """Folder of their feature maps (*_fmap_CxHxW.pt); empty = the pictures are encoded."""
    output: str = ""
    """Folder for timing.json; empty = none is written."""
    checkpoint: str = ""
    """A sam_vit_*.pth file; empty = found or downloaded; random = networks without knowledge, to try this out."""
    model_type: Literal["default", "vit_h", "vit_l", "vit_b"] = DEFAULT
    """Size of the network; default = what the checkpoint holds, vit_h without one."""
    points_per_side: int = 32
    """Points along each side of a picture."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""


def main() -> None:
    """Read the command line and time."""
    options = tyro.cli(TimeOptions, description=__doc__, use_underscores=True)
    pairs = find_pairs(Path(options.image_path), Path(options.feature_path) if options.feature_path else None)
    segmenter = Segmenter(options.checkpoint, options.model_type, options.device)
    automatic = AutomaticOptions(options.points_per_side)
    seconds: list[float] = []
    for number, (picture, features) in enumerate([pairs[0], *pairs]):
        spent = time_view(segmenter, picture, features, automatic)
        if number > 0:
            seconds.append(spent)
            mean = len(seconds) / sum(seconds)
            say(f"{picture.name}: {1 / spent:.3f} images/s, average {mean:.3f} images/s")
    if options.output:
        kind = "features" if options.feature_path else "images"
        result = {"from": kind, "images": len(seconds), "images_per_sec": len(seconds) / sum(seconds)}
        write_json(Path(options.output) / "timing.json", result | {"device": str(segmenter.device), "seconds": seconds})


def time_view(segmenter: Segmenter, picture: Path, features: Path | None, automatic: AutomaticOptions) -> float:
    """Seconds from a picture or a map in memory to all masks; reading files is not counted."""
    image = read_rgb(picture)
    rendered = read_features(features).to(segmenter.device) if features else None
    wait(segmenter.device)
    start = time.perf_counter()
    if rendered is None:
        embedding = segmenter.embed(image)
    else:
        embedding = segmenter.embed_rendered(rendered, image, encode_padding=False)
    automatic_masks(segmenter.decoder, embedding, (image.shape[1], image.shape[0]), automatic)
    wait(segmenter.device)
    return time.perf_counter() - start


def wait(device: torch.device) -> None:
    """Until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def find_pairs(images: Path, features: Path | None) -> list[tuple[Path, Path | None]]:
    """Pictures with their feature maps, by name."""
    pictures = sorted(images.glob("*.png"))
    if not pictures:
        raise UserError(f"{images} has no *.png; expected rendered pictures; check --image_path")
    pairs = [(picture, features / f"{picture.stem}{SUFFIX}" if features else None) for picture in pictures]
    missing = next((map_path for _, map_path in pairs if map_path is not None and not map_path.is_file()), None)
    if missing is not None:
        raise UserError(f"{missing} is missing; expected one map per picture; check --feature_path")
    return pairs


if __name__ == "__main__":
    run(main)
