"""Pictures per second of every teacher, on real photos: python benchmarks/teachers.py --photos DATA/colmap_fox/images

Networks have random weights: their speed does not depend on what they know. Reading, resizing, the network and fetching
the map are timed, building the network and the first batch are not.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results_io import Figure, write_results
from encoders import make_teacher, scene_images
from encoders.base import SceneImages, find_images
from encoders.network import Runtime
from encoders.sam_net.image_encoder import SamEncoder
from utils.progress import say, set_quiet

CASES = {  # name -> teacher, options, pictures at a time on a GPU
    "lseg": ("lseg", {"weights": "random"}, 4),
    "lseg_feature3dgs": ("lseg", {"weights": "random", "mode": "feature3dgs"}, 1),
    "dinov2_vits14": ("dinov2", {"weights": "random", "model": "vits14"}, 8),
    "dinov2_vitb14": ("dinov2", {"weights": "random", "model": "vitb14"}, 8),
    "dinov2_vitl14": ("dinov2", {"weights": "random", "model": "vitl14"}, 8),
    "sam_vit_b": ("sam", {"model": "vit_b"}, 1),
    "sam_vit_h": ("sam", {"model": "vit_h"}, 1),
    "clip": ("clip", {"weights": "random"}, 8),
    "classical": ("classical", {}, 1),
}


def rate(name: str, images: SceneImages, seconds_at_most: float) -> list[Figure]:
    """Pictures per second, and peak GPU memory."""
    teacher, options, batch = CASES[name]
    made = make_teacher(teacher, options)
    if teacher == "sam":  # whose own random network is a tiny one
        made.build = partial(SamEncoder.build, options["model"])
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    start, count, first = time.perf_counter(), 0, 1
    if made.per_picture:
        made.runtime, first = Runtime(batch=batch if torch.cuda.is_available() else 1), batch
    for _, features, _ in made.encode_scene(images):
        count, numbers = count + 1, features.size
        if made.per_picture and count == first:
            start = time.perf_counter()
        if made.per_picture and count > 2 * first and time.perf_counter() - start > seconds_at_most:
            break
    timed = count - (first if made.per_picture else 0)
    seconds = time.perf_counter() - start
    figures = [
        Figure(f"teacher.{name}.images_per_second", timed / seconds, "1/s"),
        Figure(f"teacher.{name}.batch", batch, ""),
        Figure(f"teacher.{name}.megabytes_per_map", numbers * 2 / 1e6, "MB"),
    ]
    if torch.cuda.is_available() and made.per_picture:
        figures.append(Figure(f"teacher.{name}.peak_memory", torch.cuda.max_memory_allocated() / 1e9, "GB"))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--teachers", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seconds", type=float, default=5.0, help="at most so many for each teacher")
    args = parser.parse_args()
    images = scene_images(args.photos, find_images(args.photos))
    figures: list[Figure] = []
    for name in args.teachers:
        set_quiet(True)
        found = rate(name, images, args.seconds)
        set_quiet(False)
        figures += found
        say(f"{name:20}{found[0].value:10.2f} pictures a second")
    write_results("teachers", figures)


if __name__ == "__main__":
    main()
