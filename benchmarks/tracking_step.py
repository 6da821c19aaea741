"""One iteration after the first moment, as train.py runs it, beside the plain form.

    python benchmarks/tracking_step.py

250 000 Gaussians of which 50 000 may move, 20 neighbours, 640x360. Plain: two passes of the same rasterizer (colours,
then labels as colours), SSIM with convolutions, rigidity with a matrix per pair, torch's Adam, called from Python.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import ndraster
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import train  # noqa: E402
from benchmarks.results_io import Figure, write_results  # noqa: E402
from benchmarks.rigidity import plain_losses  # noqa: E402
from benchmarks.rigs import dense_rig  # noqa: E402
from scene.image_store import GroundTruth  # noqa: E402
from scene.motion.per_timestep import Present, recolored  # noqa: E402
from training.trainer import Trainer  # noqa: E402
from utils.progress import say, set_quiet  # noqa: E402

WARM_UP, MEASURED = 100, 400
LAMBDA_DSSIM = 0.2


def trainer_at_second_moment(folder: Path, model: Path) -> Trainer:
    """A run of train.py that has just begun with the second moment; nothing is densified."""
    steps = f"--first_iterations 2 --step_iterations {WARM_UP + MEASURED} --densify_until_iter 0 --settle_tolerance 0"
    words = ["-s", str(folder), "-m", str(model), *steps.split()]
    options, info = train.read_command_line(words)
    trainer = train.build_trainer(options, info, None)
    run(trainer, 2 + WARM_UP)
    return trainer


def run(trainer: Trainer, last: int) -> None:
    """Iterations of the loop, without reports."""
    while trainer.iteration < last:
        trainer.iteration += 1
        trainer._iterate()


def seconds_of(work, count: int) -> float:
    """Mean time of `count` calls."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


class PlainStep:
    """The same iteration as formulas read."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.motion = trainer, trainer.model.motion
        self.present: Present = self.motion.present
        still = trainer.model.activated()
        self.still = replace(
            still, scales=still.scales.detach(), opacities=still.opacities.detach(), sh=None, sh_rest=None
        )
        share = self.motion.labels(trainer.model)
        self.labels = torch.cat([share, torch.zeros_like(share), 1 - share], dim=1)
        groups = self.motion.parameter_groups()
        self.optimizer = torch.optim.Adam(groups, eps=1e-15, foreach=False, fused=False)

    def __call__(self) -> None:
        """One iteration."""
        trainer, present = self.trainer, self.present
        camera = trainer.scene.train[trainer.order.draw()]
        truth = trainer.scene.images.get(camera)
        quats = F.normalize(present.quats, dim=-1)
        means = present.everywhere(present.means, present.pose.means)
        moved = replace(self.still, means=means, quats_wxyz=present.everywhere(quats, present.pose.quats_wxyz))
        colors = present.all_colors()
        image = ndraster.rasterize(recolored(moved, colors), camera.pinhole).color
        labels = ndraster.rasterize(recolored(moved, self.labels), camera.pinhole).color
        loss = plain_image_loss(image, truth.image) + 3.0 * plain_image_loss(labels, self._wanted(truth))
        rigid, rotation, isometry = plain_losses(
            present.means, quats, present.earlier_quats, present.earlier_offsets, present.bonds.hood
        )
        loss = loss + 4.0 * rigid + 4.0 * rotation + 2.0 * isometry
        loss = loss + 0.01 * (colors - present.earlier_colors).abs().sum(-1).mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    @staticmethod
    def _wanted(truth: GroundTruth) -> Tensor:
        mask = truth.foreground
        return torch.cat([mask, torch.zeros_like(mask), 1 - mask])


def plain_image_loss(image: Tensor, target: Tensor) -> Tensor:
    """L1 and SSIM of images [3, H, W] in plain PyTorch."""
    likeness = ndraster.ssim(image, target, "reference")
    return (1 - LAMBDA_DSSIM) * (image - target).abs().mean() + LAMBDA_DSSIM * (1 - likeness)


def main() -> None:
    """Measure both forms, one after the other, twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, help="folder of the rig, made there if it is missing")
    parser.add_argument("--make_only", action="store_true", help="make the rig and leave")
    options = parser.parse_args()
    set_quiet(True)
    with tempfile.TemporaryDirectory() as folder:
        scene = options.scene or Path(folder) / "rig"
        if not (scene / "train_meta.json").is_file():
            dense_rig(scene, 250_000, 50_000)
        if options.make_only:
            return
        trainer = trainer_at_second_moment(scene, Path(folder) / "model")
        report(trainer)


def report(trainer: Trainer) -> None:
    """Measure and write."""
    plain = PlainStep(trainer)
    seconds_of(plain, 20)
    plain_ms = 1e3 * seconds_of(plain, 100)

    def one() -> None:
        trainer.iteration += 1
        trainer._iterate()

    ours_ms = 1e3 * seconds_of(one, MEASURED - 50)
    plain_ms = min(plain_ms, 1e3 * seconds_of(plain, 100))
    count, moving = len(trainer.model), len(trainer.model.motion.present.moving)
    figures = [
        Figure("tracking.step.gaussians", count, ""),
        Figure("tracking.step.moving", moving, ""),
        Figure("tracking.step.plain_ms", plain_ms, "ms"),
        Figure("tracking.step.ours_ms", ours_ms, "ms"),
        Figure("tracking.step.vs_plain", plain_ms / ours_ms, "x"),
    ]
    write_results("tracking_step", figures)
    set_quiet(False)
    for figure in figures:
        say(f"{figure.figure:40}{figure.value:12.4g} {figure.unit}")


if __name__ == "__main__":
    main()
