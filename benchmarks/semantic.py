"""Words and clicks against exact labels, on the procedural scene: python benchmarks/semantic.py

The teacher is the true label map in the vectors of a random but fixed text encoder, 512 wide (`oracle_words`): clean,
or noisy, where in every picture each label has a chance of 15 % to be taken for another one. The Gaussians are trained
once in colour; features are then lifted or trained on them, 512, 128 or 64 wide (narrower ones with a linear decoder),
and as classes (Label-3DGS). Measured on views never trained on: the mean IoU of one text query for each object and the
ground, and of one click on each, at the automatic threshold; for the label field the share of right pixels.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from arguments import ModelParams, load_config
from benchmarks.results_io import Figure, write_results
from encoders.record import TeacherRecord
from encoders.text import encode_prompts, open_text_encoder
from gaussian_renderer import RenderSettings, render, trajectories
from gaussian_renderer.feature_space import comparable_rows, word_cosines
from gaussian_renderer.frames import Frame
from gaussian_renderer.mask_lifting import ViewPrompt, deepest_pixel
from gaussian_renderer.membership import selection_mask
from gaussian_renderer.prompting import pointed_prompt, seen_cloud
from gaussian_renderer.trained import TrainedScene, open_trained
from scene.selection import select, select_scored
from utils.files import read_json, read_jsonl
from utils.image_io import read_image
from utils.metrics import iou
from utils.progress import say

ROOT = Path(__file__).resolve().parents[1]
CHANNELS = 512
FLIPS = {"clean": 0.0, "noisy": 0.15}
SMALLEST_SHARE = 0.004  # of the pixels of all pictures, below which an object is not asked for
BACKGROUND = "background"  # what is behind everything: no object, and its edge is the horizon


@dataclass(frozen=True)
class Task:
    """The scene and what is asked about it."""

    source: Path
    runs: Path
    epochs: int
    """Passes over the training views, of training features."""

    @property
    def labels(self) -> Path:
        return self.source / "labels"

    def read(self, stem: str) -> np.ndarray:
        """True labels [H, W] of one picture."""
        return read_image(self.labels / f"{stem}.png")[..., 0]

    def pictures(self, held_out: bool) -> list[str]:
        """Stems of the training or held-out pictures (every eighth, as `--eval` takes them)."""
        stems = sorted(path.stem for path in (self.source / "images").iterdir())
        return [stem for index, stem in enumerate(stems) if (index % 8 == 0) == held_out]


def script(name: str, *words: object) -> None:
    """Run one of the project's scripts quietly."""
    subprocess.run([sys.executable, str(ROOT / name), *map(str, words), "--quiet"], check=True)


def seconds_of(model: Path) -> float:
    """Seconds of the training loop of a run, lifting included."""
    return [record["seconds"] for record in read_jsonl(model / "metrics.jsonl") if "seconds" in record][-1]


def make_scene(folder: Path, size: list[int], views: int) -> Path:
    source = folder / "scene"
    words = ["static", source, "--size", *size, "--views", views]
    subprocess.run([sys.executable, str(ROOT / "examples/make_scene.py"), *map(str, words)], check=True)
    return source


def train_colours(task: Task, iterations: int, gaussians: int) -> Path:
    """Gaussians without features: the PLY that all fields share."""
    model = task.runs / "colours"
    schedule = {"iterations": iterations, "position_lr_max_steps": iterations, "densify_from_iter": iterations // 10}
    schedule |= {"densify_until_iter": iterations * 6 // 10, "opacity_reset_interval": 10 * iterations}
    flags = [word for key, value in (schedule | {"max_gaussians": gaussians}).items() for word in (f"--{key}", value)]
    script("train.py", "-s", task.source, "-m", model, "--eval", *flags, "--test_iterations", iterations)
    return model / "point_cloud" / f"iteration_{iterations}" / "point_cloud.ply"


def make_teacher(task: Task, name: str) -> Path:
    """The cache of one teacher's maps."""
    folder = task.runs / f"teacher_{name}"
    words = ["-m", "encoders", "-f", "oracle_words", "-s", task.source, "--feature_cache", folder]
    words += ["--set", f"dim={CHANNELS}", "--set", f"flips={FLIPS[name]}"]
    subprocess.run([sys.executable, *map(str, words)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return folder


def train_field(task: Task, name: str, ply: Path, *flags: object) -> Path:
    """Features or classes on the Gaussians of `ply`."""
    model = task.runs / name
    steps = task.epochs * len(task.pictures(held_out=False))
    common = ("-s", task.source, "-m", model, "--eval", "--start_ply", ply, "--freeze_geometry")
    script("train.py", *common, "--iterations", steps, "--test_iterations", "-1", *flags)
    return model


def objects_of(task: Task) -> dict[str, int]:
    """Names and ids of the objects that are large enough."""
    names = {int(label): name for label, name in read_json(task.labels / "classes.json").items()}
    counts = sum(np.bincount(task.read(stem).ravel(), minlength=256) for stem in task.pictures(held_out=False))
    return {name: label for label, name in names.items() if counts[label] >= SMALLEST_SHARE * counts.sum()}


def click_on(task: Task, label: int) -> tuple[int, int, int]:
    """(view, column, row): the pixel farthest inside the object, in the training view that shows it largest."""
    masks = [task.read(stem) == label for stem in task.pictures(held_out=False)]
    view = int(np.argmax([mask.sum() for mask in masks]))
    return view, *deepest_pixel(torch.from_numpy(masks[view]))


def query_ious(task: Task, model_path: Path, objects: dict[str, int]) -> dict[str, list[float]]:
    """IoU of every object by a text query and by a click: what segment.py does, without its start and its files."""
    trained = open_trained(load_config(model_path, ModelParams))
    model, decoder, settings = trained.model, trained.decoder, RenderSettings()
    rows = comparable_rows(model.features, decoder)
    cloud = seen_cloud(trained.scene.train, model, settings)
    words = encode_prompts(open_text_encoder(TeacherRecord.load(model_path, "oracle_words", CHANNELS)), list(objects))
    cosines = word_cosines(model.features, decoder, words)
    views = trajectories.sorted_by_name(trained.scene.train)
    scores: dict[str, list[float]] = {"text": [], "click": []}
    for index, label in enumerate(objects.values()):
        by_text = select_scored(cosines[:, index], cloud)
        view, column, row = click_on(task, label)
        asked = ViewPrompt(((column, row),), ())
        by_click = select(rows, pointed_prompt(views[view], model, rows, asked, (), settings), cloud)
        for kind, selection in (("text", by_text), ("click", by_click)):
            scores[kind].append(held_out_iou(task, trained, selection.mask, label))
    return scores


@torch.no_grad()
def held_out_iou(task: Task, trained: TrainedScene, mask: Tensor, label: int) -> float:
    """Mean over the held-out views that show the object."""
    scores = []
    for camera in trained.scene.test:
        truth = task.read(Path(camera.image_name).stem) == label
        if truth.any():
            output = render(camera, trained.model, features=mask[:, None].float())
            scores.append(iou(selection_mask(Frame(0, camera, output)).cpu(), truth))
    return float(np.mean(scores))


def field_figures(task: Task, ply: Path, cache: Path, name: str, objects: dict[str, int]) -> list[Figure]:
    """One way, one width, one teacher: `name` is semantic.<mode>.d<width>.<teacher>."""
    _, mode, width, _ = name.split(".")
    flags = ("-f", "oracle_words", "--feature_cache", cache, "--distill", mode, "--semantic_dimension", width[1:])
    model = train_field(task, name, ply, *flags)
    scores = query_ious(task, model, objects)
    things = {
        kind: [score for score, name_of in zip(found, objects, strict=True) if name_of != BACKGROUND]
        for kind, found in scores.items()
    }
    return [
        Figure(f"{name}.miou", float(np.mean(things["text"])), "IoU"),
        Figure(f"{name}.click_miou", float(np.mean(things["click"])), "IoU"),
        Figure(f"{name}.worst_iou", min(things["text"]), "IoU"),
        Figure(f"{name}.miou_with_background", float(np.mean(scores["text"])), "IoU"),
        Figure(f"{name}.seconds", seconds_of(model), "s"),
    ]


def all_fields(task: Task, ply: Path, objects: dict[str, int], args: argparse.Namespace) -> list[Figure]:
    """Every mode and width with every teacher, `args.parallel` at a time, in processes of their own."""
    caches = {teacher: make_teacher(task, teacher) for teacher in FLIPS}
    names = [(f"semantic.{mode}.d{width}.{t}", t) for t in FLIPS for mode in args.modes for width in args.widths]
    figures = [Figure("semantic.objects", len(objects), ""), Figure("semantic.parallel", args.parallel, "")]
    with ProcessPoolExecutor(args.parallel, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(field_figures, task, ply, caches[teacher], name, objects) for name, teacher in names]
        for field in running:
            figures += field.result()
            say("  ".join(f"{figure.figure} {figure.value:.3f}" for figure in figures[-5:]))
            write_results("semantic", figures)
    return figures


def label_figures(task: Task, ply: Path) -> list[Figure]:
    """Label-3DGS on the same Gaussians: share of right pixels, seconds, size."""
    model = train_field(task, "label", ply, "-f", "label", "--feature_cache", task.labels)
    script("render.py", "-m", model, "--skip_train")
    script("metrics.py", "-m", model, "--labels", task.labels)
    results = read_json(model / "results.json")
    scores = next(value for key, value in results.items() if key.startswith("ours_"))
    return [
        Figure("label.accuracy", scores["label_accuracy"], ""),
        Figure("label.miou", scores["label_miou"], "IoU"),
        Figure("label.seconds", seconds_of(model), "s"),
        Figure("label.ply", ply_size(model), "MB"),
        *(Figure(f"{path.name}.ply", ply_size(path), "MB") for path in sorted(task.runs.glob("semantic.*.clean"))),
    ]


def ply_size(model: Path) -> float:
    """Megabytes of the newest point cloud of a model."""
    return max(model.glob("point_cloud/*/point_cloud.ply")).stat().st_size / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=[320, 240], help="px of the pictures")
    parser.add_argument("--views", type=int, default=48)
    parser.add_argument("--iterations", type=int, default=2000, help="of training the colours")
    parser.add_argument("--gaussians", type=int, default=40_000, help="at most")
    parser.add_argument("--epochs", type=int, default=30, help="of training features")
    parser.add_argument("--modes", nargs="+", choices=["lift", "sgd", "lift+sgd"], default=["lift", "sgd"])
    parser.add_argument("--widths", type=int, nargs="+", default=[512, 128, 64])
    parser.add_argument("--parallel", type=int, default=1, help="fields at a time; more than 1 disturbs the seconds")
    parser.add_argument("--scene", type=Path, help="a scene of examples/make_scene.py static; without, one is made")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        source = args.scene.resolve() if args.scene else make_scene(folder, args.size, args.views)
        task = Task(source, folder / "runs", args.epochs)
        ply = train_colours(task, args.iterations, args.gaussians)
        objects = objects_of(task)
        say(f"objects: {', '.join(objects)}")
        figures = all_fields(task, ply, objects, args)
        figures += label_figures(task, ply)
    write_results("semantic", figures)


if __name__ == "__main__":
    main()
