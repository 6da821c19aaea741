"""The three balls of `blobs` in motion: what tests of moving scenes render."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ndraster
import torch
from torch import Tensor

from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from scene.motion import Motion, MotionSetup
from tests.blobs import blob_model, ring_cameras, write_blob_run

TRAVEL = 1.0  # world units, upwards, of the red ball between the times 0 and 1
GROWTH = 0.3  # by which its Gaussians grow


class Lift(Motion):
    """The Gaussians left of the middle (the red ball) rise, grow and turn."""

    kind = "lift"

    @classmethod
    def create(cls, setup: MotionSetup) -> Lift:
        return cls()

    def at(self, model: GaussianModel, time: float) -> ndraster.Gaussians:
        """Activated Gaussians at a moment in 0..1."""
        still = model.activated()
        share = (model.means[:, :1] < -0.5).float() * time
        turn = torch.tensor([0.0, 0.3, 0.1, 0.2], device=model.device)
        quats = torch.nn.functional.normalize(still.quats_wxyz + share * turn, dim=1)
        grown = still.scales * (1 + GROWTH * share * torch.tensor([1.0, 0.0, -1.0], device=model.device))
        return replace(still, means=still.means + share * _up(model.means), quats_wxyz=quats, scales=grown)


def _up(like: Tensor) -> Tensor:
    return TRAVEL * torch.tensor([0.0, -1.0, 0.0]).to(like)


def moving_blobs() -> GaussianModel:
    """The balls, of which the red one rises."""
    still = blob_model()
    return GaussianModel(still.params, still.active_sh_degree, Lift())


def timed_ring(count: int = 6, **shape: int) -> list[Camera]:
    """Ring cameras whose times run from 0 to 1."""
    cameras = ring_cameras(count, **shape)
    return [replace(camera, time=index / (count - 1)) for index, camera in enumerate(cameras)]


TIMES = (0.5, *(index / 6 for index in range(7)))  # of the test view, and of the training views


def write_moving_run(folder: Path) -> Path:
    """A D-NeRF data set of the moving balls, and a model folder whose Gaussians are right but have no motion."""
    return write_blob_run(folder, moving_blobs(), TIMES)
