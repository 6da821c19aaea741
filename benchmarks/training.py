"""Whole trainings: ours through `train.py`, and a gsplat loop on the same data in the same run.

    python benchmarks/training.py --data DATA --scene fox            # 7 000 iterations at full size
    python benchmarks/training.py --data DATA --scene chair          # 30 000 iterations, white background
    python benchmarks/training.py --data DATA --scene fox --peer none

DATA holds the folders `colmap_fox` (50 photos with a COLMAP model) and `nerf_synthetic_chair`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from arguments import ModelParams
from benchmarks.results_io import Figure, write_results
from scene import Scene
from scene.initialization import InitOptions, initial_model
from utils.files import read_jsonl
from utils.progress import say

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Case:
    folder: str
    iterations: int
    white: bool
    flags: tuple[str, ...] = ()  # of train.py


# Each side keeps its own defaults; the peer anneals positions over the run, so ours does too.
FOX_FLAGS = ("--position_lr_max_steps", "7000")
CASES = {
    "fox": Case("colmap_fox", 7000, False, FOX_FLAGS),
    "chair": Case("nerf_synthetic_chair", 30_000, True),
}


@dataclass(frozen=True)
class Result:
    seconds: float  # in the loop
    psnr: float  # dB, held out
    gaussians: int
    psnr_7000: float = 0.0  # dB, after 7 000 iterations


def train_ours(case: Case, source: Path, seed: int, extra: list[str]) -> Result:
    """A `train.py` run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["-s", str(source), "-m", folder, "--eval", "--iterations", str(case.iterations)]
        flags += ["--test_iterations", "7000", str(case.iterations), *(["-w"] if case.white else []), *case.flags]
        flags += ["--seed", str(seed), *extra]
        subprocess.run([sys.executable, str(ROOT / "train.py"), *flags], check=True)
        records = read_jsonl(Path(folder) / "metrics.jsonl")
    test = [r for r in records if r["split"] == "test"]
    training = [r for r in records if r["split"] == "train"][-1]
    at_7000 = next(r["psnr"] for r in test if r["iteration"] == 7000)
    return Result(training["seconds"], test[-1]["psnr"], training["count"], at_7000)


def train_peer(case: Case, source: Path, seed: int) -> Result:
    """The gsplat loop from the same initial Gaussians on the same split."""
    from benchmarks import gsplat_loop

    device = torch.device("cuda")
    options = ModelParams(source_path=str(source), eval=True, white_background=case.white)
    scene = Scene.open(options, device)
    start = initial_model(scene.info, InitOptions(), device)
    background = torch.full((3,), float(case.white), device=device)
    torch.manual_seed(seed)
    return Result(*gsplat_loop.train(scene, start, case.iterations, background, seed))


def median_result(runs: list[Result]) -> Result:
    """Each figure's median over the runs."""
    return Result(*(median(values) for values in zip(*map(astuple, runs), strict=True)))


def all_figures(name: str, ours: list[Result], peers: list[Result]) -> list[Figure]:
    """Medians of both sides, and every run's PSNR (they spread by tenths of a dB)."""
    figures = _side(name, "", ours)
    if peers:
        figures += _side(name, "_gsplat", peers)
        ratio = median_result(peers).seconds / median_result(ours).seconds
        figures.append(Figure(f"{name}.vs_gsplat", ratio, "x faster"))
    figures.append(Figure(f"{name}.psnr_at_7000", median_result(ours).psnr_7000, "dB"))
    return figures


def _side(name: str, suffix: str, runs: list[Result]) -> list[Figure]:
    middle = median_result(runs)
    figures = [
        Figure(f"{name}.psnr{suffix}", middle.psnr, "dB"),
        Figure(f"{name}.seconds{suffix}", middle.seconds, "s"),
        Figure(f"{name}.gaussians{suffix}", middle.gaussians, ""),
    ]
    return figures + [Figure(f"{name}.psnr{suffix}.run{k}", run.psnr, "dB") for k, run in enumerate(runs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--scene", choices=CASES, required=True)
    parser.add_argument("--peer", choices=["gsplat", "none"], default="gsplat")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side; medians count")
    parser.add_argument("--results", help="name of the file in benchmarks/results; default training_SCENE")
    parser.add_argument("--train_args", nargs=argparse.REMAINDER, default=[], help="further flags for train.py")
    args = parser.parse_args()
    case = CASES[args.scene]
    source = args.data / case.folder
    ours = [train_ours(case, source, seed, args.train_args) for seed in range(args.repeats)]
    peers = [train_peer(case, source, seed) for seed in range(args.repeats)] if args.peer == "gsplat" else []
    figures = all_figures(f"train.{args.scene}{case.iterations}", ours, peers)
    write_results(args.results or f"training_{args.scene}", figures)
    for figure in figures:
        say(f"{figure.figure:34}{figure.value:12.3f} {figure.unit}")


if __name__ == "__main__":
    main()
