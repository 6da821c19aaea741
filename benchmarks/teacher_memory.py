"""Main memory of training on many large teacher maps, on the CPU: python benchmarks/teacher_memory.py

200 small pictures, each with a map of LSeg's size (512 channels, 176x240 cells, 43 MB); the maps are one file under 200
names, so that the disk need not hold 8.6 GB. Measured is the largest resident set of `train.py`, torch included.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results_io import Figure, write_results
from encoders import scene_images
from encoders.base import EncodedMap
from encoders.cache import CacheWriter
from utils.progress import say

ROOT = Path(__file__).resolve().parents[1]
VIEWS, CELLS, CHANNELS = 200, (176, 240), 512
CASES = {
    "full": (),
    "speedup": ("--speedup",),
    "speedup_cosine": ("--speedup", "--semantic_loss", "cosine"),
}


def make_data(folder: Path) -> tuple[Path, Path]:
    """A scene and its maps."""
    scene, maps = folder / "scene", folder / "maps"
    words = ["static", scene, "--size", "160", "120", "--views", VIEWS]
    subprocess.run([sys.executable, str(ROOT / "examples/make_scene.py"), *map(str, words)], check=True)
    first, *others = scene_images(scene).paths
    writer = CacheWriter(maps, {"teacher": "lseg", "options": {}})
    writer.add(EncodedMap(first, 0.04 * np.random.default_rng(0).normal(size=(*CELLS, CHANNELS)).astype(np.float32)))
    for key in others:
        os.link(maps / f"{first}.safetensors", maps / f"{key}.safetensors")
    writer.finish([first, *others])
    return scene, maps


def peak_memory(scene: Path, maps: Path, out: Path, flags: tuple[str, ...]) -> float:
    """Largest resident set in GB of this run, or of an earlier one if that was larger."""
    words = ("-s", scene, "-m", out, "-f", "maps", "--feature_cache", maps, "--distill", "sgd", "--device", "cpu")
    run = [sys.executable, str(ROOT / "train.py"), *map(str, words), "--iterations", "40", "--test_iterations", "-1"]
    subprocess.run([*run, "--quiet", *flags], check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as temp:
        scene, maps = make_data(Path(temp))
        figures = [
            Figure(f"memory.lseg200.{name}", peak_memory(scene, maps, Path(temp) / name, flags), "GB")
            for name, flags in CASES.items()
        ]
    write_results("teacher_memory", figures)
    for figure in figures:
        say(f"{figure.figure:34}{figure.value:10.2f} {figure.unit}")


if __name__ == "__main__":
    main()
