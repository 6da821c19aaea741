"""Everything in all rendered views, by SAM's automatic masks on rendered features.

    python encoders/sam_encoder/segment.py --checkpoint sam_vit_h_4b8939.pth --data output/room --iteration 7000

Writes <data>/seg_<iteration>[_img]/<split>/<name>_seg.png, and masks/<name>.npz there with the arrays masks [M, H, W],
boxes [M, 4] (x, y, width, height), ious [M], stability [M] and points [M, 2]. Every view is segmented by itself; for
objects that are the same in all views use `segment.py` of the project.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import tyro

from encoders.rendered_views import RenderedView, rendered_views
from encoders.sam_net.automatic_masks import AutomaticMask, AutomaticOptions, automatic_masks
from encoders.sam_net.pictures import overlay
from encoders.sam_net.segmenter import DEFAULT, Segmenter, read_features, read_rgb
from utils.colormaps import palette
from utils.files import atomic_path
from utils.image_io import write_png
from utils.progress import Progress, say
from utils.script import run


@dataclass(frozen=True)
class EverythingOptions:
    """Which model, how fine."""

    data: str
    """Model folder with rendered views."""
    iteration: int
    """Iteration whose views are segmented."""
    checkpoint: str = ""
    """A sam_vit_*.pth file; empty = found or downloaded; random = networks without knowledge, to try this out."""
    model_type: Literal["default", "vit_h", "vit_l", "vit_b"] = DEFAULT
    """Size of the network; default = what the checkpoint holds, vit_h without one."""
    image: bool = False
    """Encode the rendered pictures instead of using the rendered features."""
    encode_padding: bool = True
    """Fill the embedding beside the picture by encoding one picture, not with zeros."""
    points_per_side: int = 0
    """Points along each side of a picture; 0 = 32 on a GPU, 16 on a CPU."""
    min_iou: float = AutomaticOptions.min_iou
    """Least quality that the decoder expects of a mask."""
    min_stability: float = AutomaticOptions.min_stability
    """Least agreement of a mask with itself at slightly other thresholds."""
    min_region_px: int = 0
    """Holes and islands smaller than this are removed."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return Path(self.data) / f"seg_{self.iteration}{'_img' if self.image else ''}"


def main() -> None:
    """Read the command line and segment every view."""
    options = tyro.cli(EverythingOptions, description=__doc__, use_underscores=True)
    views = rendered_views(Path(options.data), options.iteration, need_features=not options.image)
    segmenter = Segmenter(options.checkpoint, options.model_type, options.device)
    per_side = options.points_per_side or (32 if segmenter.device.type == "cuda" else 16)
    automatic = AutomaticOptions(
        per_side,
        min_iou=options.min_iou,
        min_stability=options.min_stability,
        min_region_px=options.min_region_px,
    )
    with Progress(len(views)) as progress:
        for number, view in enumerate(views, start=1):
            count = segment_view(segmenter, view, options, automatic)
            progress.update(number, masks=count)
    say(f"{len(views)} views segmented in {options.folder}")


def segment_view(
    segmenter: Segmenter, view: RenderedView, options: EverythingOptions, automatic: AutomaticOptions
) -> int:
    """Write one view's overlay and masks; returns their number."""
    image = read_rgb(view.picture)
    if options.image:
        embedding = segmenter.embed(image)
    else:
        embedding = segmenter.embed_rendered(read_features(view.features), image, options.encode_padding)
    masks = automatic_masks(segmenter.decoder, embedding, (image.shape[1], image.shape[0]), automatic)
    folder = options.folder / view.split
    largest_first = sorted(masks, key=lambda mask: -mask.area)
    picture = overlay(image, [mask.segmentation for mask in largest_first], palette(len(masks)).numpy())
    write_png(folder / f"{view.name}_seg.png", picture)
    write_masks(folder / "masks" / f"{view.name}.npz", masks, image.shape[:2])
    return len(masks)


def write_masks(path: Path, masks: list[AutomaticMask], size: tuple[int, int]) -> None:
    """Write masks of a picture of (height, width) `size` with what is known about them."""
    stacked = np.stack([mask.segmentation for mask in masks]) if masks else np.zeros((0, *size), bool)
    with atomic_path(path) as temp:
        np.savez_compressed(
            temp,
            masks=stacked,
            boxes=np.array([mask.bbox for mask in masks], np.int32).reshape(-1, 4),
            ious=np.array([mask.predicted_iou for mask in masks], np.float32),
            stability=np.array([mask.stability_score for mask in masks], np.float32),
            points=np.array([mask.point for mask in masks], np.float32).reshape(-1, 2),
        )


if __name__ == "__main__":
    run(main)
