"""How Gaussians move: one file = one kind of motion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ndraster
import torch
from torch import Tensor, nn

from arguments import MotionParams, TrackingParams
from utils.registry import Registry

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel

MOTIONS = Registry("motion")
CODE_NAME = "motion_code"
"""Of the model's parameter that holds what a motion keeps about each Gaussian."""


@dataclass(frozen=True)
class MotionSetup:
    """What a motion is made from."""

    params: MotionParams
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the scene, world units."""
    radius: float = 1.0
    """Of the scene, world units."""
    times: tuple[float, ...] = ()
    """Moments 0..1 of the training views, in their order."""
    has_masks: bool = False
    """Whether every training view has a foreground mask, and the points are labelled."""
    extent: float = 1.0
    """Of the cameras, world units: scales the learning rates of positions."""
    tracking: TrackingParams = TrackingParams()
    device: torch.device | str = "cpu"

    @property
    def num_times(self) -> int:
        """Distinct moments among the training views."""
        return max(len(set(self.times)), 1)


class Motion(ABC):
    """What the training loop asks of a motion; it never asks which kind it is.

    A motion is a function of the Gaussians as they are stored (their canonical state) and of the time: row i of what
    comes back is always Gaussian i.
    """

    kind: str
    """Its name in the registry."""
    is_static = False
    code_width = 0
    """Width of the numbers that each Gaussian keeps for the motion, `model.params["motion_code"]`."""
    optimizer_type = "default"
    """Of the motion's own parameters, one of `training.optimizers`."""
    revision = 0
    """Counts how often the Gaussians as they are stored have changed since the first moment was saved."""
    grows = False
    """Whether the moments of one result are saved one after the other, from `is_due` to `is_due`."""

    @classmethod
    @abstractmethod
    def create(cls, setup: MotionSetup) -> Motion:
        """A motion before its training."""

    @abstractmethod
    def at(self, model: GaussianModel, time: float | Tensor) -> ndraster.Gaussians:
        """Activated Gaussians at a moment in 0..1; a number on the device where a CUDA graph reads it there."""

    def describe(self, iterations: int) -> str:
        """What moves and when it learns, in words, in a run of so many iterations."""
        del iterations
        return "nothing moves"

    @property
    def phase(self) -> object:
        """A captured iteration stays valid as long as this is the same."""
        return None

    def parameter_groups(self) -> list[dict[str, object]]:
        """Optimizer groups of the motion's own parameters."""
        return []

    def rates(self) -> dict[str, Callable[[int], float]]:
        """Learning rates by iteration, for groups whose rate changes."""
        return {}

    def losses(self) -> dict[str, Tensor]:
        """Scalar regularisers by name, weighted already, of the last `at`."""
        return {}

    def on_iteration(self, iteration: int, model: GaussianModel) -> None:
        """Called once before each iteration (1-based)."""
        del iteration, model

    @property
    def admitted(self) -> Sequence[int] | None:
        """Indices of the training views that may be drawn now; None = all."""
        return None

    def knows(self, time: float) -> bool:
        """Whether there is something to be seen at this moment yet."""
        del time
        return True

    def recolored(self, mask: Tensor, recolor: Callable[[Tensor], Tensor]) -> Motion:
        """This motion where the Gaussians in `mask` [N] bool are recoloured; itself if it has no colours of its own.

        `recolor` maps spherical-harmonics coefficients [M, K, 3] to others.
        """
        del mask, recolor
        return self

    def rows(self, chosen: Tensor) -> Motion:
        """The motion of the chosen Gaussians alone: mask [N] or indices [M]."""
        del chosen
        return self

    def labels(self, model: GaussianModel) -> Tensor | None:
        """Share [N, 1] of each Gaussian in the foreground, where masks of it are to be met; else None."""
        del model

    def restarted(self) -> list[nn.Parameter]:
        """Parameters whose moments the optimizer is to forget before this iteration."""
        return []

    def observe(self, loss: Tensor) -> None:
        """Take note of the loss of this iteration, a number on the device."""
        del loss

    def after_iteration(self, iteration: int, model: GaussianModel) -> None:
        """Called once after each iteration, before anything is measured or saved."""
        del iteration, model

    def seeks_newcomers(self, iteration: int) -> bool:
        """Whether things that no Gaussian stands for yet are to be looked for after this iteration."""
        del iteration
        return False

    def welcome(self, model: GaussianModel) -> None:
        """Take note of the last rows of the model, which are Gaussians born in this iteration."""
        del model

    def seeks_rest(self, iteration: int) -> bool:
        """Whether the pictures are to be asked after this iteration what does not move."""
        del iteration
        return False

    def let_rest(self, model: GaussianModel, resting: Tensor) -> None:
        """Take note of which Gaussians [N] bool do not move."""
        del model, resting

    def is_due(self, iteration: int) -> bool:
        """Whether there is something new to save and to report after this iteration."""
        del iteration
        return False

    def following(self, iteration: int) -> int:
        """Number of the iteration that comes next."""
        return iteration + 1

    def training_time(self, time: float, views_left: int) -> float:
        """The moment at which a training view is rendered, with `views_left` to come in this round."""
        del views_left
        return time

    def state_dict(self) -> dict[str, Tensor]:
        """All values that training changes."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what `state_dict` gave."""
        del state

    def save(self, folder: Path) -> None:
        """Write what `load` reads; nothing where nothing moves."""
        del folder

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote."""
        del folder


def make_motion(kind: str, setup: MotionSetup) -> Motion:
    """A new motion of this kind; unknown names list the kinds."""
    MOTIONS.discover("scene.motion")
    return MOTIONS.get(kind).create(setup)
