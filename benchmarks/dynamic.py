"""Moving scenes: quality, time and size of every recipe, and objects selected with one click.

    python benchmarks/dynamic.py --scene toys=DATA/toys --scene balls=DATA/mujoco4d_scene1_close_proximity

Each recipe trains each scene alone with `train.py --eval`; `compat` is the plain recipe of Deformable 3DGS (float32
network as it is written, no CUDA graph). Then every object that the scene's labels know gets one click, in the first
training view that shows it, on the pixel farthest inside; features are the oracle's where there are true labels of
ours, else those of the classical teacher, lifted at the end. White backgrounds with `--white NAME`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from arguments import ModelParams, load_config  # noqa: E402
from benchmarks.results_io import Figure, write_results  # noqa: E402
from benchmarks.runs import Run, script  # noqa: E402
from encoders.mask_scores import score_masks  # noqa: E402
from encoders.true_labels import TrueLabels  # noqa: E402
from gaussian_renderer import RenderSettings, render  # noqa: E402
from gaussian_renderer.speed import frames_per_second  # noqa: E402
from gaussian_renderer.tracks import Tracks, TrueTracks, track_scores  # noqa: E402
from gaussian_renderer.trained import open_trained  # noqa: E402
from gaussian_renderer.trajectories import sorted_by_name  # noqa: E402
from scene.cameras import Camera  # noqa: E402
from training.evaluation import evaluate  # noqa: E402
from utils.files import read_json, read_jsonl  # noqa: E402
from utils.progress import say  # noqa: E402

DEFAULT = "deform_mlp"
RECIPES = {
    "compat": ["--motion", "deform_mlp", "--compat"],
    "deform_mlp": ["--motion", "deform_mlp"],
    "motion_bases": ["--motion", "motion_bases"],
}
SMALLEST_OBJECT_PX = 60  # in the clicked view
ORACLE_NOISE = 0.3  # standard deviation per channel, on vectors of length 1 in 16 channels
MEGABYTE = 1e6


def train(run: Run, words: list[str]) -> list[Figure]:
    """Train; quality of the test views at the last step, time in the loop and size on disk."""
    script("train.py", "-s", run.source, "-m", run.model, "--eval", *RECIPES[run.recipe], *words)
    records = read_jsonl(run.model / "metrics.jsonl")
    test = [record for record in records if record["split"] == "test"][-1]
    last = [record for record in records if record["split"] == "train"][-1]
    size = sum(path.stat().st_size for path in run.model.glob("*/iteration_*/*") if path.is_file())
    return [
        run.figure("psnr", test["psnr"], "dB"),
        run.figure("ssim", test["ssim"], ""),
        run.figure("train_seconds", last["seconds"], "s"),
        run.figure("iterations", last["iteration"], ""),
        run.figure("gaussians", last["count"], ""),
        run.figure("size", size / MEGABYTE, "MB"),
    ]


def render_speed(run: Run) -> Figure:
    """Images a second over the test views, motion included."""
    trained = open_trained(load_config(run.model, ModelParams))
    views = trained.scene.test * max(1, 200 // len(trained.scene.test))
    speed = frames_per_second(views, trained.model, trained.background, RenderSettings())
    return run.figure("render_fps", speed, "images/s")


def rounding(run: Run) -> Figure:
    """How far the PSNR of the test views is from what the network gives as it is written, in float32."""
    trained = open_trained(load_config(run.model, ModelParams))
    motion, images = trained.model.motion, trained.scene.images

    def draw(camera: Camera) -> Tensor:
        return render(camera, trained.model, trained.background).color

    def quality() -> float:
        return evaluate(trained.scene.test, draw, partial(images.get, background=trained.background))["psnr"]

    ours = quality()
    motion.params = replace(motion.params, compat_speed=True)
    motion.on_iteration(motion.params.warm_up, trained.model)  # forgets the last evaluation
    return run.figure("psnr_minus_float32", ours - quality(), "dB")


def clicks(run: Run, labels: TrueLabels) -> Iterator[tuple[str, list[str]]]:
    """(object, words of segment.py) for every object that some training view shows."""
    views = sorted_by_name(open_trained(load_config(run.model, ModelParams)).scene.train)
    for label, name in labels.names.items():
        for number, camera in enumerate(views):
            ids = labels.ids_of(camera.image_name)
            if label and name not in ("background", "ground") and (ids == label).sum() >= SMALLEST_OBJECT_PX:
                inside = distance_transform_edt(ids == label)
                row, column = np.unravel_index(int(inside.argmax()), inside.shape)
                scale = camera.width / ids.shape[1]
                yield name, ["--point", str(int(column * scale)), str(int(row * scale)), "--ref_frame", str(number)]
                break


def selected(run: Run, name: str, words: list[str], labels: TrueLabels) -> list[Figure]:
    """Select one object with one click and score its masks, and its tracks where the true ones are known."""
    script("segment.py", "-m", run.model, *words, "--skip_video", "--num_plys", "1", "--name", name)
    folder = run.model / "segment" / name
    scores, _ = score_masks(folder, labels, name)
    figures = [
        run.figure(f"{name}.iou_over_time", scores["IoU_over_time"], "IoU"),
        run.figure(f"{name}.iou_held_out", scores["IoU_test"], "IoU"),
    ]
    truth = run.source / "tracks_gt.npz"
    if truth.is_file():
        tracks = Tracks.load(folder / "tracks.npz"), TrueTracks.load(truth)
        found = track_scores(*tracks, labels.id_of(name), read_json(folder / "selection.json")["time"])
        figures.append(run.figure(f"{name}.track_error", found["track_error"], "world units"))
        figures.append(run.figure(f"{name}.track_error_percent", found["track_error_percent"], "% of size"))
    return figures


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--white", action="append", default=[], metavar="NAME")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--clicks", nargs="*", choices=RECIPES, default=["deform_mlp", "motion_bases"])
    parser.add_argument("--iterations", type=int, default=40_000)
    parser.add_argument("--train", default="", help="further words for every training, in quotes")
    parser.add_argument("--models", type=Path, help="folder of the models, which are kept there")
    parser.add_argument("--name", default="dynamic", help="of the file with the results")
    options = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        models = options.models or Path(folder)
        for scene, source in (text.split("=", 1) for text in options.scene):
            for recipe in options.recipes:
                run = Run("dgd", scene, recipe, Path(source).resolve(), models / f"{scene}-{recipe}")
                figures += measure(run, options)
                write_results(options.name, figures)
    for figure in figures:
        say(f"{figure.figure:52}{figure.value:12.4g} {figure.unit}")


def measure(run: Run, options: argparse.Namespace) -> list[Figure]:
    """All figures of one run; a model that is there already is not trained again."""
    figures: list[Figure] = []
    white = ["-w"] if run.scene in options.white else []
    if not (run.model / "point_cloud").is_dir():
        words = ["--iterations", str(options.iterations), *white, *options.train.split()]
        words += original_schedule(options.iterations) if run.recipe == "compat" else []
        figures += [*train(run, words), render_speed(run)]
        figures += [rounding(run)] if run.recipe == DEFAULT else []
    return figures + (click_figures(lifted(run, white)) if run.recipe in options.clicks else [])


def lifted(run: Run, white: list[str]) -> Run:
    """The same Gaussians with features, in a folder of their own."""
    has_own = (run.source / "labels").is_dir()
    teacher, noise = ("oracle", ["--set", f"noise={ORACLE_NOISE}"]) if has_own else ("classical", [])
    script("-m encoders", "-f", teacher, "-s", run.source, *noise)
    folder = run.model.with_name(f"{run.model.name}-features")
    ply = next(run.model.glob("point_cloud/iteration_*/point_cloud.ply"))
    finished = ["--start_ply", ply, "--freeze_geometry", "-f", teacher, "--distill", "lift", "--test_iterations", "-1"]
    script("train.py", "-s", run.source, "-m", folder, "--eval", *white, *finished)
    return replace(run, model=folder)


def original_schedule(iterations: int) -> list[str]:
    """The steps of Deformable 3DGS for a shorter run, in proportion; `--compat` alone keeps them as they are."""
    steps = {
        "warm_up": 3000,
        "densify_until_iter": 15_000,
        "opacity_reset_interval": 3000,
        "position_lr_max_steps": 30_000,
        "deform_lr_max_steps": 40_000,
        "time_noise_steps": 20_000,
    }
    return [word for name, step in steps.items() for word in (f"--{name}", str(step * iterations // 40_000))]


def click_figures(run: Run) -> list[Figure]:
    """One click per object; their mean is the mIoU."""
    labels = TrueLabels.open(run.source)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(selected, run, name, words, labels) for name, words in clicks(run, labels)]
        figures = [figure for job in jobs for figure in job.result()]
    for kind in ("iou_over_time", "iou_held_out"):
        values = [figure.value for figure in figures if figure.figure.endswith(kind)]
        figures.append(run.figure(f"m{kind}", float(np.mean(values)), "IoU"))
    if run.recipe == DEFAULT:
        figures.append(Figure(f"dgd.{run.scene}.miou", figures[-2].value, "IoU"))
    return figures


if __name__ == "__main__":
    main()
