"""Layers: a shell trained over frozen toys, against both trained at once, on held-out pictures of both.

    python benchmarks/layers.py --device cuda
    python benchmarks/layers.py --device cpu

Makes the scene of examples/make_scene.py, trains the toys alone on pictures of the toys, then the shell on pictures of
everything over the frozen toys, then the same without the inactive purge, then everything at once: with as many steps
as one of the trainings, and with as many as both. Then each layer is rendered alone and compared with pictures of that
layer, which for the shell no training has seen. A hole is a pixel that is opaque in truth and rendered less than half
opaque. Pictures of the first held-out views are left beside the models: truth, layered, at once, and each layer alone
below its truth.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from arguments import ModelParams, load_config  # noqa: E402
from benchmarks.results_io import Figure, write_results  # noqa: E402
from benchmarks.runs import script  # noqa: E402
from gaussian_renderer import render  # noqa: E402
from gaussian_renderer.trained import TrainedScene, open_trained  # noqa: E402
from scene import Scene  # noqa: E402
from scene.layer_files import layer_file, load_layers  # noqa: E402
from training.evaluation import evaluate  # noqa: E402
from utils.devices import choose_device  # noqa: E402
from utils.files import read_jsonl  # noqa: E402
from utils.image_io import to_uint8, write_png  # noqa: E402
from utils.progress import say  # noqa: E402

OPAQUE, HALF = 0.99, 0.5
NUM_SHOWN = 4  # views in the pictures


@dataclass(frozen=True)
class Size:
    """How large the scene and how long each training is."""

    pixels: int
    views: int
    iterations: int
    flags: tuple[str, ...] = ()


SMALL = "--init_count 4000 --sh_degree 1 --densify_from_iter 200 --opacity_reset_interval 100000"
SIZES = {"cpu": Size(64, 40, 2000, tuple(SMALL.split())), "cuda": Size(400, 100, 7000)}


@dataclass(frozen=True)
class Bench:
    """Where everything lies, and with what it is trained."""

    folder: Path
    size: Size
    device: str
    seed: int

    @property
    def scene(self) -> Path:
        return self.folder / "scene"

    def make_scene(self) -> None:
        """The three data sets."""
        words = ("--size", self.size.pixels, self.size.pixels, "--views", self.size.views)
        script("examples/make_scene.py", "layers", self.scene, *map(str, words))

    def train(self, name: str, data: str, *flags: str | Path, length: int = 1) -> Path:
        """The model folder of one training on pictures of `data`."""
        steps = length * self.size.iterations
        words = ["--iterations", steps, "--test_iterations", steps, "--seed", self.seed, "--device", self.device]
        words += ["--position_lr_max_steps", steps, "--densify_until_iter", steps // 2]
        words += ["--eval", "-a", "--random_background", *self.size.flags, *flags]
        script("train.py", "-s", self.scene / data, "-m", self.folder / name, *map(str, words))
        return self.folder / name

    def open(self, model: Path, layers: tuple[str, ...] = ()) -> TrainedScene:
        """A trained model, or some of its layers."""
        return open_trained(replace(load_config(model, ModelParams), device=self.device), layers=layers)

    def pictures(self, data: str) -> Scene:
        """The pictures of one of the data sets."""
        return Scene.open(ModelParams(source_path=str(self.scene / data), eval=True), choose_device(self.device))


def trained_figures(name: str, model: Path) -> list[Figure]:
    """Quality of the test views at the end, time in the loop, number of trained Gaussians."""
    records = read_jsonl(model / "metrics.jsonl")
    test = [record for record in records if record["split"] == "test"][-1]
    last = [record for record in records if record["split"] == "train"][-1]
    return [
        Figure(f"layers.{name}.psnr", test["psnr"], "dB"),
        Figure(f"layers.{name}.ssim", test["ssim"], ""),
        Figure(f"layers.{name}.gaussians", last["count"], ""),
        Figure(f"layers.{name}.seconds", last["seconds"], "s"),
    ]


def purge_figures(model: Path) -> list[Figure]:
    """How many the purge removed, and in how many rounds."""
    purges = [record for record in read_jsonl(model / "metrics.jsonl") if record["split"] == "purge"]
    removed = sum(record["removed"] for record in purges)
    return [Figure("layers.purge.removed", removed, ""), Figure("layers.purge.rounds", len(purges), "")]


def is_identical(before: Path, after: Path) -> bool:
    """Whether the oldest layers of the file `after` are those of `before`, bit for bit."""
    pairs = zip(load_layers(before), load_layers(after), strict=False)
    return all(torch.equal(value, other.tensors[name]) for one, other in pairs for name, value in one.tensors.items())


@torch.no_grad()
def alone_figures(name: str, layer: TrainedScene, truth: Scene) -> list[Figure]:
    """A layer without the others, against pictures of it."""
    background = layer.background
    found = evaluate(
        truth.test,
        lambda camera: render(camera, layer.model, background).color,
        lambda camera: truth.images.get(camera, background),
    )
    holes = total = 0
    for camera in truth.test:
        opaque = truth.images.get(camera).alpha > OPAQUE
        holes += int((opaque & (render(camera, layer.model).alpha < HALF)).sum())
        total += int(opaque.sum())
    return [
        Figure(f"layers.{name}_alone.psnr", found["psnr"], "dB"),
        Figure(f"layers.{name}_alone.holes", holes / total, "of opaque pixels"),
    ]


@torch.no_grad()
def write_sheet(path: Path, columns: list[tuple[Scene, TrainedScene | None]]) -> None:
    """A row per view: the picture of a data set where there is no model, else the model's render."""
    rows = []
    for index in range(min(NUM_SHOWN, len(columns[0][0].test))):
        rows.append(torch.cat([shown(scene, model, index) for scene, model in columns], dim=2))
    write_png(path, to_uint8(torch.cat(rows, dim=1)))


def shown(scene: Scene, model: TrainedScene | None, index: int) -> Tensor:
    """One picture [3, H, W] on white."""
    camera, white = scene.test[index], torch.ones(3, device=scene.images.device)
    if model is None:
        return scene.images.get(camera, white).image
    return render(camera, model.model, white).color.clamp(0, 1)


def run(bench: Bench) -> list[Figure]:
    """All trainings and figures of one seed."""
    bench.make_scene()
    inner = bench.train("inner", "inner", "--save_layer")
    layer = layer_file(inner, bench.size.iterations)
    over = ("--load_layer", layer, "--save_layer")
    outer = bench.train("outer", "composite", *over)
    unpurged = bench.train("unpurged", "composite", *over, "--inactive_purge_threshold", "-1")
    together = bench.train("together", "composite")
    longer = bench.train("together_2x", "composite", length=2)
    models = {"inner": inner, "layered": outer, "unpurged": unpurged, "together": together, "together_2x": longer}
    figures = [figure for name, model in models.items() for figure in trained_figures(name, model)]
    psnr = {figure.figure: figure.value for figure in figures}
    gain = psnr["layers.layered.psnr"] - psnr["layers.together.psnr"]
    gain_2x = psnr["layers.layered.psnr"] - psnr["layers.together_2x.psnr"]
    figures += [Figure("layers.delta_db", gain, "dB"), Figure("layers.delta_at_equal_steps_db", gain_2x, "dB")]
    figures += purge_figures(outer)
    identical = is_identical(layer, layer_file(outer, bench.size.iterations))
    figures.append(Figure("layers.frozen_rows_identical", float(identical), "1 = bit for bit"))
    truth = {name: bench.pictures(name) for name in ("inner", "outer", "composite")}
    alone = {"inner": bench.open(outer, ("0",)), "outer": bench.open(outer, ("1",))}
    for name, model in alone.items():
        figures += alone_figures(name, model, truth[name])
    both = truth["composite"]
    columns = [(both, None), (both, bench.open(outer)), (both, bench.open(together))]
    columns += [pair for name in alone for pair in ((truth[name], None), (truth[name], alone[name]))]
    write_sheet(bench.folder / "layers.png", columns)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda: also decides on the size")
    parser.add_argument("--work", type=Path, help="folder for the scene, the models and layers.png; default temporary")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pixels", type=int, help="width and height of the pictures")
    parser.add_argument("--views", type=int, help="training views; a fifth as many are held out")
    parser.add_argument("--iterations", type=int, help="steps of each training")
    parser.add_argument("--results", default="layers", help="name of the file in benchmarks/results")
    args = parser.parse_args()
    device = choose_device(args.device).type
    given = {name: getattr(args, name) for name in ("pixels", "views", "iterations")}
    size = replace(SIZES[device], **{name: value for name, value in given.items() if value})
    with tempfile.TemporaryDirectory() as temporary:
        figures = run(Bench((args.work or Path(temporary)).resolve(), size, device, args.seed))
    figures += [Figure("layers.pixels", size.pixels, "px"), Figure("layers.iterations", size.iterations, "")]
    write_results(args.results, figures)
    for figure in figures:
        say(f"{figure.figure:34}{figure.value:12.4f} {figure.unit}")


if __name__ == "__main__":
    main()
