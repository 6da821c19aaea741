"""The whole path in one command: python examples/demo.py [--out output/demo] [--object marble].

Makes a procedural scene, trains it with `-f classical` features, renders it, selects an object by one click, and
measures the result against the exact ground truth. Writes OUT/report.html and OUT/summary.json {psnr, iou, seconds}.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from scipy.ndimage import distance_transform_edt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from utils.errors import UserError  # noqa: E402
from utils.files import read_json, write_json  # noqa: E402
from utils.image_io import read_image  # noqa: E402
from utils.progress import say  # noqa: E402
from utils.report import Section, write_report  # noqa: E402
from utils.script import run  # noqa: E402

TEST_EVERY = 8  # with --eval every eighth view by name is held out
SHOWN_VIEWS = 3


@dataclass(frozen=True)
class DemoOptions:
    """How large the demo is."""

    out: Path = Path("output/demo")
    """Folder for the scene, the model and the report."""
    object: str = "marble"
    """Name of the object that is clicked on."""
    size: tuple[int, int] = (160, 120)
    """Width and height of the pictures in px."""
    views: int = 48
    """Number of pictures."""
    iterations: int = 1500
    """Training steps."""
    max_gaussians: int = 20_000
    """Upper limit of the number of Gaussians."""


@dataclass(frozen=True)
class Click:
    """Where the demo clicks."""

    view: int
    """Number of the training view, sorted by name."""
    view_name: str
    point: tuple[int, int]
    """Column and row."""


def main() -> None:
    """Run all steps, then write the report."""
    options = tyro.cli(DemoOptions, description=__doc__, use_underscores=True)
    scene, model = options.out / "scene", options.out / "model"
    start = time.perf_counter()
    seconds = {"make_scene": timed("examples/make_scene.py", "static", scene, *scene_flags(options))}
    seconds["train"] = timed("train.py", "-s", scene, "-m", model, *training_flags(options))
    seconds["render"] = timed("render.py", "-m", model, "--no_save_features")
    click = choose_click(scene / "labels", options.object)
    place = ("--point", *click.point, "--view", click.view, "--name", options.object)
    seconds["segment"] = timed("segment.py", "-m", model, *place)
    labels = ("--labels", scene / "labels", "--object", options.object, "--selection", options.object)
    seconds["metrics"] = timed("metrics.py", "-m", model, *labels)
    summary = summarise(model, options, time.perf_counter() - start)
    write_json(options.out / "summary.json", summary)
    report(options, click, summary, seconds)
    say(f"held-out PSNR {summary['psnr']:.2f} dB, IoU {summary['iou']:.3f}, {summary['seconds']:.0f} s")
    say(f"report: {options.out / 'report.html'}")
    say(f"next: python segment.py -m {model} --point X Y --view K")


def scene_flags(options: DemoOptions) -> list[object]:
    """Flags of make_scene.py."""
    return ["--size", *options.size, "--views", options.views, "--overwrite"]


def training_flags(options: DemoOptions) -> list[object]:
    """Flags of train.py: the usual schedule, shortened in proportion to the number of steps."""
    steps = options.iterations
    schedule = {
        "iterations": steps,
        "position_lr_max_steps": steps,
        "densify_from_iter": steps // 10,
        "densify_until_iter": steps * 6 // 10,
        "opacity_reset_interval": 10 * steps,
        "max_gaussians": options.max_gaussians,
    }
    return ["--eval", "-f", "classical", *(word for name, value in schedule.items() for word in (f"--{name}", value))]


def timed(script: str, *words: object) -> float:
    """Run one of the project's scripts as a user would; returns its wall time in seconds."""
    shown = " ".join(map(str, words))
    say(f"\n$ python {script} {shown}")
    paths = [str(ROOT), str(ROOT / "submodules" / "ndraster"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    start = time.perf_counter()
    code = subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, words)], env=environment, check=False
    ).returncode
    if code != 0:
        raise UserError(f"{script} ended with exit code {code}; its message is above; mend that and run the demo again")
    return time.perf_counter() - start


def choose_click(labels: Path, name: str) -> Click:
    """The pixel farthest inside the object, in the training view that shows it largest: where a user would click."""
    classes = read_json(labels / "classes.json")
    ids = [int(key) for key, known in classes.items() if known == name]
    if not ids:
        raise UserError(
            f"object {name!r} is not in the scene; there are {', '.join(classes.values())}; use one of them"
        )
    paths = sorted(labels.glob("*.png"))
    training = [path for index, path in enumerate(paths) if index % TEST_EVERY != 0]
    masks = [read_image(path)[..., 0] == ids[0] for path in training]
    view = int(np.argmax([mask.sum() for mask in masks]))
    inside = distance_transform_edt(masks[view])
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return Click(view, training[view].stem, (int(column), int(row)))


def summarise(model: Path, options: DemoOptions, seconds: float) -> dict:
    """The figures of the run."""
    results = read_json(model / "results.json")
    images = next(scores for name, scores in results.items() if name.startswith("ours_"))
    masks = results[f"segment/{options.object}"]
    return {
        "psnr": images["PSNR"],
        "ssim": images["SSIM"],
        "iou": masks["IoU_test"],
        "iou_all_views": masks["IoU"],
        "seconds": seconds,
        "iterations": options.iterations,
        "object": options.object,
    }


def report(options: DemoOptions, click: Click, summary: dict, seconds: dict[str, float]) -> None:
    """Write report.html: figures, held-out renders beside the truth, and the selection."""
    model = options.out / "model"
    folder = next((model / "test").glob("ours_*"))
    frames = read_json(folder / "manifest.json")["frames"][:SHOWN_VIEWS]
    figures = Section("Figures", table=[{"figure": key, "value": value} for key, value in summary.items()])
    times = Section("Seconds", table=[{"step": step, "seconds": round(value, 1)} for step, value in seconds.items()])
    renders = Section(
        "Held-out views",
        "Rendered, photographed, depth, features (one colour basis for the scene).",
        images=[picture for frame in frames for picture in view_pictures(folder, frame)],
    )
    where = f"One click at column {click.point[0]}, row {click.point[1]} of {click.view_name}; views never trained on."
    write_report(
        options.out / "report.html",
        "splat-distill demo",
        [figures, renders, Section("One click", where, images=selection_pictures(model, options, frames)), times],
    )


def view_pictures(folder: Path, frame: dict) -> list[tuple[str, np.ndarray]]:
    """Everything that was rendered of one held-out view."""
    number, name = f"{frame['index']:05d}", frame["image_name"]
    files = {
        "rendered": folder / "renders" / f"{number}.png",
        "photographed": folder / "gt" / f"{number}.png",
        "depth": folder / "depth" / f"{number}.png",
        "features": folder / "feature_map" / f"{number}_feature_vis.png",
    }
    return [(f"{name}, {kind}", read_image(path)[..., :3]) for kind, path in files.items()]


def selection_pictures(model: Path, options: DemoOptions, frames: list[dict]) -> list[tuple[str, np.ndarray]]:
    """Overlay and mask of the selection in the held-out views."""
    folder, pictures = model / "segment" / options.object, []
    for frame in frames:
        name = f"{Path(frame['image_name']).stem}.png"
        pictures.append((f"{name}, selected", read_image(folder / "overlay" / name)[..., :3]))
        pictures.append((f"{name}, mask", read_image(folder / "masks" / name)[..., :3]))
    return pictures


if __name__ == "__main__":
    run(main)
