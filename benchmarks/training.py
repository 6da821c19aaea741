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
from dataclasses import dataclass
from pathlib import Path

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


CASES = {"fox": Case("colmap_fox", 7000, False), "chair": Case("nerf_synthetic_chair", 30_000, True)}


def train_ours(case: Case, source: Path, extra: list[str]) -> dict[str, float]:
    """Seconds in the loop, held-out PSNR and number of Gaussians of a `train.py` run."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["-s", str(source), "-m", folder, "--eval", "--iterations", str(case.iterations)]
        flags += ["--test_iterations", "7000", str(case.iterations), *(["-w"] if case.white else []), *extra]
        subprocess.run([sys.executable, str(ROOT / "train.py"), *flags], check=True, cwd=ROOT)
        records = read_jsonl(Path(folder) / "metrics.jsonl")
    test = [r for r in records if r["split"] == "test"]
    training = [r for r in records if r["split"] == "train"][-1]
    return {
        "seconds": training["seconds"],
        "psnr": test[-1]["psnr"],
        "psnr_7000": next(r["psnr"] for r in test if r["iteration"] == 7000),
        "count": training["count"],
    }


def train_peer(case: Case, source: Path):
    """The gsplat loop from the same initial Gaussians on the same split."""
    from benchmarks import gsplat_loop

    device = torch.device("cuda")
    options = ModelParams(source_path=str(source), eval=True, white_background=case.white)
    scene = Scene.open(options, device)
    start = initial_model(scene.info, InitOptions(), device)
    background = torch.full((3,), float(case.white), device=device)
    return gsplat_loop.train(scene, start, case.iterations, background)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--scene", choices=CASES, required=True)
    parser.add_argument("--peer", choices=["gsplat", "none"], default="gsplat")
    parser.add_argument("--train_args", nargs=argparse.REMAINDER, default=[], help="further flags for train.py")
    args = parser.parse_args()
    case = CASES[args.scene]
    ours = train_ours(case, args.data / case.folder, args.train_args)
    name = f"train.{args.scene}{case.iterations}"
    figures = [
        Figure(f"{name}.psnr", ours["psnr"], "dB"),
        Figure(f"{name}.psnr_at_7000", ours["psnr_7000"], "dB"),
        Figure(f"{name}.seconds", ours["seconds"], "s"),
        Figure(f"{name}.gaussians", ours["count"], ""),
    ]
    if args.peer == "gsplat":
        peer = train_peer(case, args.data / case.folder)
        figures += [
            Figure(f"{name}.psnr_gsplat", peer.psnr, "dB"),
            Figure(f"{name}.seconds_gsplat", peer.seconds, "s"),
            Figure(f"{name}.gaussians_gsplat", peer.gaussians, ""),
            Figure(f"{name}.vs_gsplat", peer.seconds / ours["seconds"], "x faster"),
        ]
    write_results(f"training_{args.scene}", figures)
    for figure in figures:
        say(f"{figure.figure:34}{figure.value:12.3f} {figure.unit}")


if __name__ == "__main__":
    main()
