"""Real photos without a GPU: train fox at an eighth with `-f classical`, click, compare with the hand-drawn labels.

    python benchmarks/prompts_fox.py --data DATA

DATA holds the folder `colmap_fox`, three of whose views have labels. Each labelled object gets one click, on the pixel
farthest inside it in one labelled view; the fox, whose head and chest differ, also the two clicks a user would make.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.results_io import Figure, write_results  # noqa: E402
from utils.files import read_json  # noqa: E402
from utils.image_io import read_image  # noqa: E402
from utils.progress import say  # noqa: E402

VIEW = "0014"
SHRINK = 8
OBJECTS = {"fox": 1, "plaque": 2, "picture": 3}
HEAD, CHEST = ("--point", "27", "33"), ("--point", "26", "60")


def script(name: str, *words: str | Path) -> float:
    """Run one of the project's scripts; returns its seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, str(ROOT / name), *map(str, words), "--quiet"], check=True)
    return time.perf_counter() - start


def deepest_pixel(labels: Path, label: int) -> tuple[str, str, str]:
    """A click at the place farthest inside an object, in pixels of the small pictures."""
    inside = distance_transform_edt(read_image(labels / f"{VIEW}.png")[..., 0] == label)
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return "--point", str(column // SHRINK), str(row // SHRINK)


def click_iou(model: Path, labels: Path, name: str, label: int, *clicks: str) -> float:
    """Mean IoU over the labelled views after these clicks."""
    script("segment.py", "-m", model, "--view_name", f"{VIEW}.jpg", *clicks, "--name", name, "--skip_video")
    script("metrics.py", "-m", model, "--labels", labels, "--object", str(label), "--selection", name)
    return read_json(model / "results.json")[f"segment/{name}"]["IoU"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    source = parser.parse_args().data / "colmap_fox"
    labels = source / "labels"
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        schedule = ["--eval", "-r", str(SHRINK), "--iterations", "1500", "--position_lr_max_steps", "1500"]
        teacher = ["-f", "classical", "--feature_cache", Path(folder) / "features"]
        seconds = script("train.py", "-s", source, "-m", model, *schedule, *teacher)
        script("render.py", "-m", model, "--no_save_features")
        one = {name: click_iou(model, labels, name, i, *deepest_pixel(labels, i)) for name, i in OBJECTS.items()}
        head = click_iou(model, labels, "head", OBJECTS["fox"], *HEAD)
        two = click_iou(model, labels, "two", OBJECTS["fox"], *HEAD, *CHEST)
        psnr = read_json(model / "results.json")["ours_1500"]["PSNR"]
    figures = [
        Figure("prompts.fox.psnr", psnr, "dB"),
        Figure("prompts.fox.train_seconds", seconds, "s"),
        *(Figure(f"prompts.fox.{name}.iou_one_click", score, "IoU") for name, score in one.items()),
        Figure("prompts.fox.miou_one_click", float(np.mean(list(one.values()))), "IoU"),
        Figure("prompts.fox.fox.iou_click_on_head", head, "IoU"),
        Figure("prompts.fox.fox.iou_two_clicks", two, "IoU"),
    ]
    write_results("prompts_fox", figures)
    for figure in figures:
        say(f"{figure.figure:40}{figure.value:12.3f} {figure.unit}")


if __name__ == "__main__":
    main()
