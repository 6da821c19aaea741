"""Photographs of changing brightness: what --exposure does to views that were taken as they should be.

    python benchmarks/exposure.py
    python benchmarks/exposure.py --iterations 7000 --size 320 240 --device cuda

A procedural scene whose training pictures differ in brightness and tint by up to a quarter, at random, about a middle
from which the held-out pictures do not differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.results_io import Figure, write_results  # noqa: E402
from benchmarks.runs import Run, script  # noqa: E402
from examples.make_scene import SceneOptions, make  # noqa: E402
from scene.exposure import exposed  # noqa: E402
from utils.files import read_jsonl  # noqa: E402
from utils.image_io import read_image, to_float, write_png  # noqa: E402
from utils.progress import say  # noqa: E402

GAIN, SHIFT = 0.25, 0.03  # of each channel: at most, and standard deviation
HELD_OUT = 8  # every so manyth picture
RECIPES = {"plain": [], "exposure": ["--exposure"]}


def spoil(scene: Path) -> None:
    """Change the training pictures."""
    generator = torch.Generator().manual_seed(0)
    for number, path in enumerate(sorted((scene / "images").glob("*.png"))):
        if number % HELD_OUT:
            image = to_float(read_image(path))
            gains = 1 + GAIN * (2 * torch.rand(3, generator=generator) - 1)
            shifts = SHIFT * torch.randn(3, 1, generator=generator)
            write_png(path, exposed(image, torch.ones_like(image[:1]), torch.cat([torch.diag(gains), shifts], dim=1)))


def measured(run: Run, words: list[str]) -> list[Figure]:
    """Train, and measure the held-out pictures and a few of the training."""
    script("train.py", "-s", run.source, "-m", run.model, *words, *RECIPES[run.recipe])
    last = {record["split"]: record for record in read_jsonl(run.model / "metrics.jsonl")}
    return [
        run.figure("psnr", last["test"]["psnr"], "dB"),
        run.figure("psnr_of_training", last["train_sample"]["psnr"], "dB"),
        run.figure("train_seconds", last["train"]["seconds"], "s"),
    ]


def main() -> None:
    """Measure both recipes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 48))
    parser.add_argument("--views", type=int, default=24)
    parser.add_argument("--iterations", type=int, default=800)
    parser.add_argument("--cap", type=int, default=3000, help="most Gaussians")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    steps = options.iterations
    words = f"--eval --llffhold {HELD_OUT} --iterations {steps} --test_iterations {steps} --device {options.device}"
    words += f" --densify_from_iter {steps // 20} --densify_until_iter {steps * 6 // 10}"
    words += f" --opacity_reset_interval {10 * steps} --max_gaussians {options.cap}"
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene"
        make(SceneOptions("static", scene, size=tuple(options.size), views=options.views))
        spoil(scene)
        for recipe in RECIPES:
            found = measured(Run("exposure", "toys", recipe, scene, Path(folder) / recipe), words.split())
            say(f"{recipe}: " + ", ".join(f"{f.figure.split('.')[-1]} {f.value:.4g} {f.unit}" for f in found))
            figures += found
    say(f"written: {write_results('exposure', figures)}")


if __name__ == "__main__":
    main()
