"""Real photos without a GPU: train fox at an eighth with `-f classical`, click, compare with the hand-drawn labels.

    python benchmarks/click.py --data DATA

DATA holds the folder `colmap_fox` with its `labels`. One click is on the head; the second adds the white chest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.results_io import Figure, write_results  # noqa: E402
from utils.files import read_json  # noqa: E402
from utils.progress import say  # noqa: E402

VIEW = "0014.jpg"
HEAD, CHEST = ("--point", "27", "33"), ("--point", "26", "60")


def script(name: str, *words: str | Path) -> float:
    """Run one of the project's scripts; returns its seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, str(ROOT / name), *map(str, words), "--quiet"], check=True)
    return time.perf_counter() - start


def click_iou(model: Path, labels: Path, name: str, *clicks: str) -> float:
    """Mean IoU over the labelled views after these clicks."""
    script("segment.py", "-m", model, "--view_name", VIEW, *clicks, "--name", name, "--skip_video")
    script("metrics.py", "-m", model, "--labels", labels, "--object", "fox", "--selection", name)
    return read_json(model / "results.json")[f"segment/{name}"]["IoU"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    source = parser.parse_args().data / "colmap_fox"
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        flags = ["--eval", "-r", "8", "--iterations", "1500", "--position_lr_max_steps", "1500", "-f", "classical"]
        seconds = script("train.py", "-s", source, "-m", model, *flags, "--feature_cache", Path(folder) / "features")
        script("render.py", "-m", model, "--no_save_features")
        labels = source / "labels"
        one, two = click_iou(model, labels, "head", *HEAD), click_iou(model, labels, "fox", *HEAD, *CHEST)
        psnr = read_json(model / "results.json")["ours_1500"]["PSNR"]
    figures = [
        Figure("click.fox.psnr", psnr, "dB"),
        Figure("click.fox.train_seconds", seconds, "s"),
        Figure("click.fox.iou_one_click", one, "IoU"),
        Figure("click.fox.iou_two_clicks", two, "IoU"),
    ]
    write_results("click_fox", figures)
    for figure in figures:
        say(f"{figure.figure:34}{figure.value:12.3f} {figure.unit}")


if __name__ == "__main__":
    main()
