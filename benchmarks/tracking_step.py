"""One iteration after the first moment, as train.py runs it, beside the plain form.

    python benchmarks/tracking_step.py

250 000 Gaussians of which 50 000 may move, 20 neighbours, 640x360. Ours: the time between two records of a run of
train.py. Plain: two passes of the same rasterizer (colours, then labels as colours), SSIM with convolutions, rigidity
with a matrix per pair, torch's Adam, called from Python, on the Gaussians of that run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ndraster
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from arguments import ModelParams, TrackingParams, load_config  # noqa: E402
from benchmarks.results_io import Figure, write_results  # noqa: E402
from benchmarks.rigidity import plain_losses  # noqa: E402
from benchmarks.rigs import dense_rig  # noqa: E402
from gaussian_renderer.trained import TrainedScene, open_trained  # noqa: E402
from scene.image_store import GroundTruth  # noqa: E402
from scene.motion import CODE_NAME  # noqa: E402
from scene.motion.bonds import Bonds  # noqa: E402
from utils.files import read_jsonl  # noqa: E402
from utils.progress import say, set_quiet  # noqa: E402

STEPS = 2000  # of the second moment
SKIPPED = 500  # of them, in which graphs are captured
LAMBDA_DSSIM = 0.2


def train(folder: Path, model: Path) -> float:
    """Run train.py to the end of the second moment; seconds of one iteration there."""
    steps = f"--first_iterations 2 --step_iterations {STEPS} --densify_until_iter 0 --settle_tolerance 0"
    words = [sys.executable, "train.py", "-s", folder, "-m", model, *steps.split(), "--test_iterations", "-1"]
    subprocess.run([*map(str, words), "--max_drop_db", "0", "--quiet"], check=True, cwd=ROOT)
    records = [record for record in read_jsonl(model / "metrics.jsonl") if record["split"] == "train"]
    late = [record for record in records if SKIPPED < record["iteration"] < STEPS]
    return (late[-1]["seconds"] - late[0]["seconds"]) / (late[-1]["iteration"] - late[0]["iteration"])


class PlainStep:
    """The same iteration as the formulas read."""

    def __init__(self, trained: TrainedScene, options: TrackingParams) -> None:
        self.trained, model = trained, trained.model
        with torch.no_grad():
            self.still = model.at(0.0)
        share = model.params[CODE_NAME][:, :1]
        self.labels = torch.cat([share, torch.zeros_like(share), 1 - share], dim=1)
        self.foreground = (share[:, 0] > 0.5).nonzero()[:, 0]
        self.bonds = Bonds.between(self.still.means[self.foreground], options.num_neighbours)
        self.means = nn.Parameter(self.still.means[self.foreground].clone())
        self.quats = nn.Parameter(self.still.quats_wxyz[self.foreground].clone())
        self.colors = nn.Parameter(self.still.colors.clone())
        self.offsets = self.bonds.offsets(self.means.detach())
        rated = ((self.means, 1e-5), (self.quats, 1e-4), (self.colors, 1e-4))
        groups = [{"params": [parameter], "lr": rate} for parameter, rate in rated]
        self.optimizer = torch.optim.Adam(groups, eps=1e-15, foreach=False, fused=False)
        self.count = 0

    def __call__(self) -> None:
        """One iteration."""
        views, self.count = self.trained.scene.train, self.count + 1
        camera = views[self.count % len(views)]
        truth = self.trained.scene.images.get(camera)
        quats = F.normalize(self.quats, dim=-1)
        means = self.still.means.index_copy(0, self.foreground, self.means)
        turned = self.still.quats_wxyz.index_copy(0, self.foreground, quats)
        moved = replace(self.still, means=means, quats_wxyz=turned, colors=self.colors)
        image = ndraster.rasterize(moved, camera.pinhole).color
        labels = ndraster.rasterize(replace(moved, colors=self.labels), camera.pinhole).color
        loss = plain_image_loss(image, truth.image) + 3.0 * plain_image_loss(labels, _wanted(truth))
        earlier = self.still.quats_wxyz[self.foreground]
        rigid, rotation, isometry = plain_losses(self.means, quats, earlier, self.offsets, self.bonds.hood)
        loss = loss + 4.0 * rigid + 4.0 * rotation + 2.0 * isometry
        loss = loss + 0.01 * (self.colors - self.still.colors).abs().sum(-1).mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def _wanted(truth: GroundTruth) -> Tensor:
    mask = truth.foreground
    return torch.cat([mask, torch.zeros_like(mask), 1 - mask])


def plain_image_loss(image: Tensor, target: Tensor) -> Tensor:
    """L1 and SSIM of images [3, H, W] in plain PyTorch."""
    likeness = ndraster.ssim(image, target, "reference")
    return (1 - LAMBDA_DSSIM) * (image - target).abs().mean() + LAMBDA_DSSIM * (1 - likeness)


def seconds_of(work: Callable[[], None], count: int) -> float:
    """Mean time of `count` calls."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def main() -> None:
    """Measure both forms, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, help="folder of the rig, made there if it is missing")
    parser.add_argument("--make_only", action="store_true", help="make the rig and leave")
    options = parser.parse_args()
    set_quiet(True)
    with tempfile.TemporaryDirectory() as folder:
        scene = options.scene or Path(folder) / "rig"
        if not (scene / "train_meta.json").is_file():
            dense_rig(scene, 250_000, 50_000)
        if not options.make_only:
            report(scene.resolve(), Path(folder) / "model")


def report(scene: Path, model: Path) -> None:
    """Measure and write."""
    ours = train(scene, model)
    trained = open_trained(load_config(model, ModelParams))
    plain = PlainStep(trained, load_config(model, TrackingParams))
    seconds_of(plain, 50)
    slow = seconds_of(plain, 200)
    figures = [
        Figure("tracking.step.gaussians", len(trained.model), ""),
        Figure("tracking.step.moving", len(plain.foreground), ""),
        Figure("tracking.step.plain_ms", 1e3 * slow, "ms"),
        Figure("tracking.step.ours_ms", 1e3 * ours, "ms"),
        Figure("tracking.step.vs_plain", slow / ours, "x faster"),
    ]
    write_results("tracking_step", figures)
    set_quiet(False)
    for figure in figures:
        say(f"{figure.figure:40}{figure.value:12.4g} {figure.unit}")


if __name__ == "__main__":
    main()
