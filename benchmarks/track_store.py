"""Size and error of the compact store of tracked Gaussians, on a made-up clip as large as those of Panoptic Studio.

    python benchmarks/track_store.py

Bodies fly, turn and bend in a room that stands still. What is stored are their true poses with the errors of a tracker
on top: colours that are wrong throughout, by as much as makes pictures as good as those of trackers of real clips, and
noise without memory, which compresses badly. Pictures of the true poses are the ground truth: the loss is how much PSNR
the tracked poses lose by having been stored.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results_io import Figure, write_results
from gaussian_renderer import render
from scene.cameras import Camera
from scene.formats import SplatArrays
from scene.gaussian_model import GaussianModel
from scene.motion.pose_codes import Pose, quaternions, rotation_vectors
from scene.motion.track_store import TrackStore
from utils.metrics import psnr
from utils.progress import say
from utils.spherical_harmonics import rgb_to_sh
from utils.transforms import look_at, quaternion_multiply

ROOM = 8.0  # edge, m
CLIP_SEC = 5.0
BODIES = 10
NOISE = {"means": 5e-4, "quats_wxyz": 5e-3, "colors": 4e-3}  # of tracking, independent from moment to moment
WRONG = 0.04  # standard deviation of what a colour is off throughout
SIZE = (320, 180)  # px, of the pictures
CONJUGATE = torch.tensor([1.0, -1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Clip:
    """A room and bodies; the first Gaussians are those that move."""

    still: Pose  # at rest, bodies around the origin
    body: Tensor  # [N] number of the body; -1 = the room
    paths: Tensor  # [BODIES, 3 waves, 2, 3] amplitude in m and phase of each axis
    spins: Tensor  # [BODIES, 3] rad/s
    wrong: Tensor  # [N, 3] errors of colours, in units of WRONG

    @classmethod
    def make(cls, count: int, moving: int) -> Clip:
        """Points of ellipsoids, and of the room's walls."""
        torch.manual_seed(0)
        body = torch.where(torch.arange(count) < moving, torch.arange(count) % BODIES, -1)
        means = normalize(torch.randn(count, 3), dim=1) * torch.tensor([0.25, 0.6, 0.2])
        walls = ROOM * (torch.rand(count, 3) - 0.5)
        side = torch.randint(3, (count,))
        walls[torch.arange(count), side] = ROOM / 2 * (torch.randint(2, (count,)) * 2.0 - 1)
        means = torch.where(body[:, None] < 0, walls, means)
        tint = torch.rand(BODIES + 1, 3)[body] + 0.3 * torch.sin(9 * means) + 0.15 * torch.randn(count, 3)
        paths = torch.stack([torch.randn(BODIES, 3, 3) * 0.5, 2 * math.pi * torch.rand(BODIES, 3, 3)], dim=2)
        still = Pose(means, torch.randn(count, 4), tint.clamp(0, 1))
        return cls(still, body, paths, torch.randn(BODIES, 3), torch.randn(count, 3))

    @property
    def moving(self) -> Tensor:
        return self.body >= 0

    def pose(self, seconds: float) -> Pose:
        """Everything at a moment, exactly."""
        body = self.body[self.moving]
        points, quats, colors = self.still.rows(self.moving).named().values()
        points = points + 0.05 * torch.sin(4 * points.roll(1, dims=1) + 3 * seconds)  # they bend
        turn = quaternions(self.spins * seconds)[body]
        rates = torch.tensor([1.0, 2.0, 4.0])[:, None]  # rad/s; faster waves are smaller
        paths = (self.paths[:, :, 0] / rates * torch.sin(rates * seconds + self.paths[:, :, 1])).sum(1)
        flown = Pose(_turned(turn, points) + paths[body], quaternion_multiply(turn, quats), colors)
        return self.still.replaced(self.moving, flown)

    def tracked(self, seconds: float) -> Pose:
        """The same with the errors of a tracker; noise only where something moves."""
        exact = self.pose(seconds)
        wrong = Pose(exact.means, exact.quats_wxyz, exact.colors + WRONG * self.wrong)
        found = {name: value + NOISE[name] * torch.randn_like(value) for name, value in wrong.named().items()}
        return wrong.replaced(self.moving, Pose(**found).rows(self.moving))


def _turned(quats_wxyz: Tensor, points: Tensor) -> Tensor:
    """Points [M, 3] turned by unit quaternions [M, 4]."""
    pure = torch.cat([torch.zeros(len(points), 1), points], dim=1)
    return quaternion_multiply(quaternion_multiply(quats_wxyz, pure), quats_wxyz * CONJUGATE)[:, 1:]


def picture(pose: Pose) -> Tensor:
    """[3, H, W] of opaque discs at a pose, from a corner of the room."""
    count = len(pose)
    scales = torch.tensor([0.03, 0.03, 0.005]).log().expand(count, 3)
    arrays = SplatArrays(
        pose.means.numpy(),
        rgb_to_sh(pose.colors).unsqueeze(1).numpy(),
        torch.zeros(count, 0, 3).numpy(),
        torch.full((count, 1), 3.0).numpy(),
        scales.numpy(),
        pose.quats_wxyz.numpy(),
    )
    width, height = SIZE
    view = look_at(torch.tensor([3.0, -1.5, 3.0]), torch.zeros(3), torch.tensor([0.0, -1.0, 0.0]))
    camera = Camera(0, "corner", view, 0.7 * width, 0.7 * width, width / 2, height / 2, width, height)
    return render(camera, GaussianModel.from_arrays(arrays)).color.detach().clamp(0, 1)


def stored_clip(folder: Path, count: int, moving: int, moments: int) -> list[Figure]:
    """Write a clip moment by moment and look at what is read back."""
    clip, store = Clip.make(count, moving), TrackStore.create(folder, torch.linspace(0, 1, moments).tolist())
    seconds = [CLIP_SEC * time for time in store.times.tolist()]
    took = 0.0
    for index, moment in enumerate(seconds):
        torch.manual_seed(index)
        pose, start = clip.tracked(moment), time.perf_counter()
        store.append(pose.means, pose.quats_wxyz, pose.colors, clip.moving)
        took += time.perf_counter() - start
    megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    worst = errors_of(clip, store, seconds)
    shown = {int(share * (moments - 1)) for share in (0.1, 0.5, 1.0)}
    losses = [loss_of(clip, pose, seconds[k], k) for k, pose in enumerate(store.poses()) if k in shown]
    loss, before = (sum(values) / len(values) for values in zip(*losses, strict=True))
    raw = 4 * 10 * count * moments / 1e6
    return [
        Figure("tracking.store.megabytes", megabytes, f"MB, {count} Gaussians, {moving} moving, {moments} moments"),
        Figure("tracking.store.vs_params_npz", raw / megabytes, "x smaller"),
        Figure("tracking.store.append", 1e3 * took / moments, "ms per moment"),
        Figure("tracking.store.position_error", worst["means"], "of the box of what moves, largest"),
        Figure("tracking.store.rotation_error", worst["quats_wxyz"], "degrees, largest"),
        Figure("tracking.store.color_error", worst["colors"], "of 1, largest"),
        Figure("tracking.store.psnr", before, "dB, of the tracked poses against the true ones"),
        Figure("tracking.store.psnr_loss", loss, "dB, mean of three moments"),
    ]


def errors_of(clip: Clip, store: TrackStore, seconds: list[float]) -> dict[str, float]:
    """The largest errors over all moments."""
    worst = dict.fromkeys(NOISE, 0.0)
    for index, pose in enumerate(store.poses()):
        torch.manual_seed(index)
        meant, found = clip.tracked(seconds[index]).rows(clip.moving), pose.rows(clip.moving)
        box = float((meant.means.amax(0) - meant.means.amin(0)).max())
        worst["means"] = max(worst["means"], float((meant.means - found.means).abs().max()) / box)
        turn = rotation_vectors(
            quaternion_multiply(normalize(meant.quats_wxyz), normalize(found.quats_wxyz) * CONJUGATE)
        )
        worst["quats_wxyz"] = max(worst["quats_wxyz"], math.degrees(float(turn.norm(dim=1).max())))
        worst["colors"] = max(worst["colors"], float((meant.colors - found.colors).abs().max()))
    return worst


def loss_of(clip: Clip, stored: Pose, seconds: float, index: int) -> tuple[float, float]:
    """PSNR in dB that is lost by storing, and PSNR before."""
    torch.manual_seed(index)
    truth, tracked = picture(clip.pose(seconds)), picture(clip.tracked(seconds))
    before = psnr(truth, tracked)
    return before - psnr(truth, picture(stored)), before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=250_000, help="Gaussians")
    parser.add_argument("--moving", type=int, default=50_000, help="of them")
    parser.add_argument("--moments", type=int, default=150)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = stored_clip(Path(folder), args.count, args.moving, args.moments)
    write_results("track_store", figures)
    for figure in figures:
        say(f"{figure.figure:34}{figure.value:12.4g} {figure.unit}")


if __name__ == "__main__":
    main()
