"""Exposures of the training pictures, learnt beside the Gaussians with an optimizer of their own (static_3dgs 5.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from ndraster import RasterOutput
from torch import Tensor, nn

from arguments import OptimizationParams
from scene.cameras import Camera
from scene.exposure import Exposures, exposed, identity
from training.optimizers import DenseAdam
from training.schedules import LearningRates
from utils.errors import UserError
from utils.schedules import exponential_rate

ADAM_EPS = 1e-8  # torch's own, as in graphdeco's 3DGS


class ExposureLearner:
    """One 3x4 matrix per training picture; all lie in one tensor that stays where it is, for CUDA graphs.

    Args:
        names: of the training pictures, in the order of the training cameras.
        options: learning rates.
        is_anchored: keep the mean of all exposures at identity, which is what other views are shown with.
    """

    def __init__(
        self, names: Sequence[str], options: OptimizationParams, is_anchored: bool, device: torch.device
    ) -> None:
        self.names, self.is_anchored = tuple(names), is_anchored
        self.matrices = nn.Parameter(identity(device).repeat(len(names), 1, 1))  # [V, 3, 4]
        self.optimizer = DenseAdam([{"name": "exposure", "params": [self.matrices], "lr": 0.0}], eps=ADAM_EPS)
        rate = partial(
            exponential_rate,
            start=options.exposure_lr_init,
            end=options.exposure_lr_final,
            max_steps=options.iterations,
            delay_steps=options.exposure_lr_delay_steps,
            delay_mult=options.exposure_lr_delay_mult,
        )
        self._rates = LearningRates({"exposure": rate})
        self._identity = identity(device)
        self._row = {name: row for row, name in enumerate(self.names)}

    def prepare(self, iteration: int) -> None:
        """Before each iteration, also before a graph is replayed: the learning rate, where the step reads it."""
        self._rates.apply(self.optimizer, iteration)
        self.optimizer.rates.upload(self.optimizer)

    def applied(self, output: RasterOutput, camera: Camera, background: Tensor | None) -> RasterOutput:
        """The render as the camera's photograph was exposed; as it is where that is not known. Differentiable."""
        matrix = self._of(camera)
        if matrix is None:
            return output
        return replace(output, color=exposed(output.color, output.alpha, matrix, background))

    @torch.no_grad()
    def step(self) -> None:
        """One update of all exposures, after the backward pass."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.is_anchored:
            self.matrices.sub_(self.matrices.mean(0) - self._identity)

    def save(self, model_path: Path) -> None:
        """Write `exposure.json`."""
        Exposures(dict(zip(self.names, self.matrices.detach(), strict=True))).save(model_path)

    def state_dict(self) -> dict[str, object]:
        """Everything that training changes."""
        return {
            "names": list(self.names),
            "matrices": self.matrices.detach(),
            "optimizer": self.optimizer.state_dict()["state"],
        }

    def load_state_dict(self, state: dict) -> None:
        """Take over what `state_dict` gave for the same pictures."""
        if tuple(state["names"]) != self.names:
            raise UserError(
                f"checkpoint: exposures of {len(state['names'])} pictures that are not the {len(self.names)} of this "
                "run; expected the same data set and split"
            )
        with torch.no_grad():
            self.matrices.copy_(state["matrices"])
        moments = {
            name: value.to(self.matrices.device).clone() for name, value in state["optimizer"].get(0, {}).items()
        }
        if moments:
            self.optimizer.state[self.matrices] = moments

    def _of(self, camera: Camera) -> Tensor | None:
        """[3, 4] of a camera, by its row on the device or by its name."""
        if camera.row is not None:
            return self.matrices.index_select(0, camera.row)[0]
        row = self._row.get(camera.image_name)
        return None if row is None else self.matrices[row]
