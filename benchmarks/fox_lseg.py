"""Whole training runs with a 512-channel teacher: python benchmarks/fox_lseg.py --data DATA

`train.py` on the fox at full size, 7 000 iterations, LSeg features distilled into it (default mode). LSeg has random
weights: the work is the same, and nothing is downloaded. Its extraction is timed apart.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results_io import Figure, write_results
from utils.files import read_jsonl
from utils.progress import say

ROOT = Path(__file__).resolve().parents[1]
ITERATIONS = 7000


def timed(*words: str | Path) -> float:
    """Run python with these words in a process of its own; returns its seconds, start included."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *map(str, words)], check=True, cwd=ROOT)
    return time.perf_counter() - start


def train(source: Path, folder: Path, name: str, *flags: str | Path) -> list[Figure]:
    """One run: wall time of the whole command, and what it measured."""
    out = folder / name
    schedule = ("--iterations", str(ITERATIONS), "--position_lr_max_steps", str(ITERATIONS))
    words = ("-s", source, "-m", out, "--eval", *schedule, "--test_iterations", str(ITERATIONS), "--quiet", *flags)
    seconds = timed(ROOT / "train.py", *words)
    records = read_jsonl(out / "metrics.jsonl")
    psnr = [record["psnr"] for record in records if record["split"] == "test"][-1]
    loop = [record["seconds"] for record in records if record["split"] == "train"][-1]
    size = (out / "point_cloud" / f"iteration_{ITERATIONS}" / "point_cloud.ply").stat().st_size / 1e6
    return [
        Figure(f"train.{name}.seconds", seconds, "s"),
        Figure(f"train.{name}.loop_seconds", loop, "s"),
        Figure(f"train.{name}.psnr", psnr, "dB"),
        Figure(f"train.{name}.ply", size, "MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds colmap_fox")
    args = parser.parse_args()
    source = (args.data / "colmap_fox").resolve()
    with tempfile.TemporaryDirectory() as temp:
        folder, maps = Path(temp), Path(temp) / "maps"
        encode = ("-m", "encoders", "-f", "lseg", "-s", source, "--feature_cache", maps, "--set", "weights=random")
        figures = [Figure("train.fox_lseg512.extraction_seconds", timed(*encode), "s")]
        teacher = ("-f", "lseg", "--feature_cache", maps)
        figures += train(source, folder, "fox_lseg512", *teacher)
        figures += train(source, folder, "fox_lseg512_lift", *teacher, "--distill", "lift")
        figures += train(source, folder, "fox_lseg512_speedup", *teacher, "--speedup")
        figures += train(source, folder, "fox_rgb")
    write_results("fox_lseg", figures)
    for figure in figures:
        say(f"{figure.figure:40}{figure.value:10.2f} {figure.unit}")


if __name__ == "__main__":
    main()
