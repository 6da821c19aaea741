"""Lift, SGD, or both? Agreement with exact labels, and seconds, on the procedural scene (also without a GPU).

    python benchmarks/distill.py

Teachers are true labels as vectors: clean; coarse (means of 8x8 px); noisy (coarse, plus noise, and in every picture
each label has a chance of 15 % to be taken for another one). Measured are, for unseen views, the share of pixels whose
rendered feature is nearest to the vector of the true label (2d), and the share of the Gaussians at a surface whose own
feature is nearest to that of the nearest true surface point (3d).

`frozen`: features alone, on Gaussians trained before. `train`: whole runs of train.py, features with geometry.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import ndraster
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from arguments import ModelParams
from benchmarks.results_io import Figure, write_results
from encoders import FeatureMaps, SceneImages, make_teacher
from encoders.base import EncodedMap, keyed
from encoders.cache import CacheFolder, CacheWriter
from encoders.oracle import label_vectors, read_labels
from examples import camera_paths
from examples.make_scene import SceneOptions, make
from examples.procedural import still_life
from examples.raytracer import body_points
from gaussian_renderer import RenderSettings
from scene import GaussianModel, Scene
from scene.formats import read_splats
from training.lifting import lift_views
from training.optimizers import DenseAdam
from utils.files import read_jsonl
from utils.progress import say

ROOT = Path(__file__).resolve().parents[1]
SIZE, VIEWS = (160, 120), 48
MAX_GAUSSIANS = 12_000
DIM = 16
COARSE_PX = 8
TEACHERS = {  # name -> options of the oracle, px a cell
    "clean": ({}, 1),
    "coarse": ({}, COARSE_PX),
    "noisy": ({"noise": 0.5, "flips": 0.15}, COARSE_PX),
}
MODES = ("lift", "sgd", "lift+sgd")
POINTS_PER_VIEW = 4000
NEAR_SURFACE = 0.05  # world units; the toys are about 0.5 large
FEATURE_LR = 0.001  # train.py's default


@dataclass(frozen=True)
class Task:
    """The scene, its truth and the teachers."""

    folder: Path
    scene: Scene
    vectors: Tensor  # [L, C] unit vector of each label
    surface: cKDTree  # points of the true surfaces
    surface_labels: np.ndarray  # label of each

    @property
    def source(self) -> Path:
        return self.folder / "scene"


def build_task(folder: Path) -> Task:
    """Make the scene and sample its surfaces."""
    make(SceneOptions("static", folder / "scene", SIZE, VIEWS))
    scene = Scene.open(ModelParams(source_path=str(folder / "scene"), eval=True), "cpu")
    world, rng = still_life(), np.random.default_rng(0)
    seen = [body_points(world, view, POINTS_PER_VIEW, rng) for view in camera_paths.orbit(VIEWS, SIZE)]
    points, labels = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    vectors = torch.from_numpy(label_vectors(DIM)[: labels.max() + 1])
    return Task(folder, scene, vectors, cKDTree(points), labels)


def write_teacher(task: Task, name: str) -> CacheFolder:
    """Maps of one teacher as a cache folder."""
    options, cell_px = TEACHERS[name]
    paths = keyed({c.image_name: c.info.image_path for c in (*task.scene.train, *task.scene.test)})
    writer = CacheWriter(task.folder / name, {"teacher": name})
    for key, features, _ in make_teacher("oracle", {"dim": DIM, **options}).encode_scene(
        SceneImages(task.source, paths)
    ):
        cells = torch.from_numpy(features).permute(2, 0, 1)[None]
        writer.add(EncodedMap(key, torch.nn.functional.avg_pool2d(cells, cell_px)[0].permute(1, 2, 0).numpy()))
    return writer.finish(paths)


def train(task: Task, name: str, iterations: int, *flags: str) -> tuple[GaussianModel, float]:
    """One run of train.py: its Gaussians, and the seconds of its loop."""
    out = task.folder / "runs" / name
    schedule = {"iterations": iterations, "position_lr_max_steps": iterations, "densify_from_iter": iterations // 10}
    schedule |= {"densify_until_iter": iterations * 6 // 10, "opacity_reset_interval": 10 * iterations}
    schedule |= {"max_gaussians": MAX_GAUSSIANS}
    words = [word for key, value in schedule.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, str(ROOT / "train.py"), "-s", str(task.source), "-m", str(out), "--eval", *words]
    subprocess.run([*command, "--test_iterations", "-1", "--quiet", *flags], check=True)
    seconds = [record["seconds"] for record in read_jsonl(out / "metrics.jsonl")][-1]
    path = out / "point_cloud" / f"iteration_{iterations}" / "point_cloud.ply"
    return GaussianModel.from_arrays(read_splats(path)), seconds


@torch.no_grad()
def agreement_2d(task: Task, gaussians: ndraster.Gaussians) -> float:
    """Share of the pixels of held-out views whose rendered feature is nearest to the true label's vector."""
    hits = []
    for camera in task.scene.test:
        rendered = ndraster.sample_features(gaussians, camera.pinhole, (camera.height, camera.width))
        truth = torch.from_numpy(read_labels(task.source / "labels" / f"{Path(camera.image_name).stem}.png"))
        hits.append((nearest_label(task, rendered.flatten(1).T) == truth.flatten()).float())
    return float(torch.cat(hits).mean())


@torch.no_grad()
def agreement_3d(task: Task, gaussians: ndraster.Gaussians) -> float:
    """Share of the Gaussians near a true surface whose own feature is nearest to that surface's label."""
    distance, index = task.surface.query(gaussians.means.numpy())
    near = torch.from_numpy(distance <= NEAR_SURFACE)
    truth = torch.from_numpy(task.surface_labels[index].astype(np.int64))
    return float((nearest_label(task, gaussians.features) == truth)[near].float().mean())


def nearest_label(task: Task, features: Tensor) -> Tensor:
    """Label [M] whose vector has the largest cosine with each row [M, C]."""
    return (features @ task.vectors.T).argmax(1)


def figures(task: Task, name: str, gaussians: ndraster.Gaussians, seconds: float) -> list[Figure]:
    """The three figures of one way to distil."""
    found = [
        Figure(f"{name}.2d", 100 * agreement_2d(task, gaussians), "%"),
        Figure(f"{name}.3d", 100 * agreement_3d(task, gaussians), "%"),
        Figure(f"{name}.seconds", seconds, "s"),
    ]
    say("  ".join(f"{figure.figure.removeprefix('distill.')} {figure.value:.2f}" for figure in found))
    return found


def frozen_figures(task: Task, name: str, maps: FeatureMaps, model: GaussianModel, epochs: list[int]) -> list[Figure]:
    """Lift, and SGD from zero and from the lift, on Gaussians that stand still."""
    with torch.no_grad():
        still = model.activated()
    teachers = {camera.image_name: maps.get(camera.image_name).float() for camera in task.scene.train}
    start = time.perf_counter()
    lifted = lift_views(model, task.scene.train, lambda c: teachers[c.image_name], maps.dim, RenderSettings()).features
    seconds = time.perf_counter() - start
    results = figures(task, f"{name}.lift", replace(still, features=lifted), seconds)
    for mode, first, spent in (("sgd", torch.zeros_like(lifted), 0.0), ("lift+sgd", lifted, seconds)):
        features, done = nn.Parameter(first.clone()), 0
        optimizer = DenseAdam([{"name": "features", "params": [features], "lr": FEATURE_LR}])
        for until in epochs:
            spent += descend(task, replace(still, features=features), teachers, optimizer, range(done, until))
            result = replace(still, features=features.detach())
            results, done = results + figures(task, f"{name}.{mode}.{until}_epochs", result, spent), until
    return results


def descend(task: Task, gaussians: ndraster.Gaussians, teachers: dict, optimizer: DenseAdam, epochs: range) -> float:
    """Seconds of these epochs of steps, a random view each."""
    start = time.perf_counter()
    for epoch in epochs:
        order = torch.randperm(len(task.scene.train), generator=torch.Generator().manual_seed(epoch))
        for camera in (task.scene.train[index] for index in order):
            ndraster.distill_loss(gaussians, camera.pinhole, teachers[camera.image_name]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=1000, help="of train.py")
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 4, 20], help="SGD budgets on frozen Gaussians")
    parser.add_argument("--teachers", nargs="+", choices=TEACHERS, default=list(TEACHERS))
    parser.add_argument("--skip_training", action="store_true", help="only on frozen Gaussians")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        task = build_task(Path(folder))
        model, seconds = train(task, "colours", args.iterations)
        model = GaussianModel(dict(model.params)).to("cpu")
        results = [Figure("distill.gaussians", len(model), ""), Figure("distill.train.colours.seconds", seconds, "s")]
        for name in args.teachers:
            maps = write_teacher(task, name)
            results += frozen_figures(task, f"distill.frozen.{name}", maps, model, sorted(args.epochs))
            for mode in () if args.skip_training else MODES:
                flags = ("-f", "lseg", "--feature_cache", str(maps.folder), "--distill", mode)
                trained, seconds = train(task, f"{name}_{mode}", args.iterations, *flags)
                results += figures(task, f"distill.train.{name}.{mode}", trained.activated(), seconds)
    write_results("distill_modes", results)


if __name__ == "__main__":
    main()
