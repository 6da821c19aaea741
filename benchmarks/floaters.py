"""Floaters: what each option against them does to held-out views, and to what hangs in front of the true surfaces.

    python benchmarks/floaters.py
    python benchmarks/floaters.py --iterations 7000 --size 320 240 --views 24 --device cuda

A procedural scene with few photographs, whose depth is known exactly, is trained once with each option. `haze` is the
alpha, averaged over all pixels of the held-out views, that lies nearer than four fifths of the true depth. Depth maps
are the true ones under a scale and offset of each view's own, which utils/make_depth_scale.py finds; in the `wrong`
ones a toy and a disc in every view are three times as near as they should be.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import ndraster
import numpy as np
import torch
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from arguments import ModelParams, load_config  # noqa: E402
from benchmarks.results_io import Figure, write_results  # noqa: E402
from benchmarks.runs import Run, script  # noqa: E402
from examples.make_scene import SceneOptions, make  # noqa: E402
from gaussian_renderer.trained import open_trained  # noqa: E402
from scene.cameras import Camera  # noqa: E402
from scene.gaussian_model import GaussianModel  # noqa: E402
from utils.files import read_jsonl  # noqa: E402
from utils.image_io import read_image  # noqa: E402
from utils.progress import say  # noqa: E402

IN_FRONT = 0.8  # of the true depth
PLANES = 96  # depths at which what is nearer is rendered alone
FULL_SCALE = 65535
WRONG_LABEL, WRONG_FACTOR = 3, 3.0  # the ball, as near as that
RECIPES = {
    "plain": [],
    "opacity_reg": ["--opacity_reg", "0.01"],
    "scale_reg": ["--scale_reg", "0.01"],
    "both_regs": ["--opacity_reg", "0.01", "--scale_reg", "0.01"],
    "clean": ["--clean"],
    "mcmc": ["--densification", "mcmc"],
    "mcmc_clean": ["--densification", "mcmc", "--clean"],
    "depth": ["-d", "depths"],
    "depth_robust": ["-d", "depths", "--depth_loss", "robust"],
    "depth_wrong": ["-d", "depths_wrong"],
    "depth_wrong_robust": ["-d", "depths_wrong", "--depth_loss", "robust"],
    "mcmc_depth": ["--densification", "mcmc", "-d", "depths"],
    "mcmc_depth_wrong": ["--densification", "mcmc", "-d", "depths_wrong"],
    "mcmc_depth_wrong_robust": ["--densification", "mcmc", "-d", "depths_wrong", "--depth_loss", "robust"],
}


def write_maps(scene: Path, folder: Path, is_wrong: bool) -> None:
    """Relative inverse depths of all views, 16 bits."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    for path in sorted((scene / "depth_gt").glob("*.npy")):
        inverse = 1 / np.load(path)
        if is_wrong:
            inverse = np.where(_wrong_pixels(scene, path.stem, generator), WRONG_FACTOR * inverse, inverse)
        scale, offset = generator.uniform(1.5, 4.0), generator.uniform(0.0, 0.05)
        values = np.clip((inverse - inverse.min()) / scale + offset, 0, 1)
        Image.fromarray(np.rint(values * FULL_SCALE).astype(np.uint16)).save(folder / f"{path.stem}.png")


def _wrong_pixels(scene: Path, stem: str, generator: np.random.Generator) -> np.ndarray:
    """[H, W] bool: one toy, and a disc somewhere."""
    labels = read_image(scene / "labels" / f"{stem}.png")[:, :, 0]
    height, width = labels.shape
    row, column = np.mgrid[:height, :width]
    spot = generator.uniform(0.2, 0.8, 2) * (height, width)
    disc = np.hypot(row - spot[0], column - spot[1]) < 0.12 * height
    return (labels == WRONG_LABEL) | disc


def prepared(folder: Path, size: tuple[int, int], views: int) -> Path:
    """The scene with both kinds of depth maps, as two data sets that share everything else."""
    scene = folder / "scene"
    make(SceneOptions("static", scene, size=size, views=views))
    for name, is_wrong in (("depths", False), ("depths_wrong", True)):
        write_maps(scene, scene / name, is_wrong)
    other = folder / "scene_wrong"
    shutil.copytree(scene, other, dirs_exist_ok=True)
    for root, name in ((scene, "depths"), (other, "depths_wrong")):
        script("utils/make_depth_scale.py", "--base_dir", root, "--depths_dir", root / name)
    return scene


@torch.no_grad()
def alpha_up_to(camera: Camera, model: GaussianModel, planes: Tensor) -> Tensor:
    """[K, H, W]: alpha of the Gaussians whose centres are nearer than each plane.

    What is behind does not change what is in front, so these are the exact shares of the whole picture.
    """
    gaussians = replace(model.at(camera.time), features=None)
    row = camera.world_to_camera[2].to(gaussians.means)
    depth = gaussians.means @ row[:3] + row[3]
    settings = ndraster.Settings(sh_degree=model.active_sh_degree)
    pictures = []
    for plane in planes:
        shown = replace(gaussians, opacities=gaussians.opacities * (depth < plane))
        pictures.append(ndraster.rasterize(shown, camera.pinhole, None, settings).alpha[0])
    return torch.stack(pictures)


def haze(camera: Camera, model: GaussianModel, depth: Tensor) -> float:
    """Mean alpha in front of the true surface [H, W], camera z in world units."""
    limit = IN_FRONT * depth
    planes = torch.linspace(float(limit.min()), float(limit.max()), PLANES, device=depth.device)
    alpha = alpha_up_to(camera, model, planes)
    nearest = (torch.searchsorted(planes, limit.contiguous(), right=True) - 1).clamp_min(0)  # the last plane before it
    return float(alpha.gather(0, nearest[None]).mean())


def measured(run: Run, words: list[str], seeds: list[int]) -> list[Figure]:
    """Train with one option from each seed and measure the held-out views: means, and the largest less the smallest."""
    rows = [one_run(replace(run, model=run.model / str(seed)), [*words, "--seed", str(seed)]) for seed in seeds]
    units = {"psnr": "dB", "haze": "%", "gaussians": "", "train_seconds": "s"}
    figures = [run.figure(name, fmean(row[name] for row in rows), unit) for name, unit in units.items()]
    for name in ("psnr", "haze"):
        values = [row[name] for row in rows]
        figures.append(run.figure(f"{name}_range", max(values) - min(values), units[name]))
    return figures


def one_run(run: Run, words: list[str]) -> dict[str, float]:
    """The figures of one training."""
    script("train.py", "-s", run.source, "-m", run.model, *words, *RECIPES[run.recipe])
    trained = open_trained(load_config(run.model, ModelParams))
    records = read_jsonl(run.model / "metrics.jsonl")
    test, last = ([r for r in records if r["split"] == split][-1] for split in ("test", "train"))
    shares = [
        haze(camera, trained.model, torch.from_numpy(np.load(depth_file(run.source, camera))).to(trained.model.device))
        for camera in trained.scene.test
    ]
    seconds, count = last["seconds"], trained.model.num_gaussians
    return {"psnr": test["psnr"], "haze": 100 * fmean(shares), "gaussians": count, "train_seconds": seconds}


def depth_file(scene: Path, camera: Camera) -> Path:
    """Where the true depth of a view is."""
    return scene / "depth_gt" / f"{Path(camera.image_name).stem}.npy"


def command_line() -> argparse.Namespace:
    """What to measure, and how."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(96, 72))
    parser.add_argument("--views", type=int, default=18, help="photographs; every sixth is held out")
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cap", type=int, default=6000, help="most Gaussians of every recipe")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", type=Path, help="folder of the models, which are kept there")
    parser.add_argument("--name", default="floaters", help="of the file with the results")
    return parser.parse_args()


def training_words(options: argparse.Namespace) -> list[str]:
    """Flags of every training."""
    steps = options.iterations
    schedule = {
        "iterations": steps,
        "position_lr_max_steps": steps,
        "densify_from_iter": steps // 20,
        "densify_until_iter": steps * 6 // 10,
        "opacity_reset_interval": steps * 3 // 10,
        "test_iterations": steps,
        "max_gaussians": options.cap,
        "llffhold": 6,
        "device": options.device,
    }
    return ["--eval", *(str(word) for name, value in schedule.items() for word in (f"--{name}", value))]


def main() -> None:
    """Measure what the command line names."""
    options = command_line()
    figures = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.models or Path(temporary)
        scene = prepared(folder, tuple(options.size), options.views)
        for recipe in options.recipes:
            source = scene.with_name("scene_wrong") if "wrong" in recipe else scene
            run = Run("floaters", "toys", recipe, source, folder / recipe)
            found = measured(run, training_words(options), options.seeds)
            say(f"{recipe}: " + ", ".join(f"{f.figure.split('.')[-1]} {f.value:.4g} {f.unit}" for f in found))
            figures += found
    say(f"written: {write_results(options.name, figures)}")


if __name__ == "__main__":
    main()
