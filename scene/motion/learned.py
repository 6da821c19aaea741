"""What all motions with a network have in common: when it is used and trained, and how fast it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from scene.motion import Motion, MotionSetup
from scene.motion.placement import Placement
from utils.errors import UserError
from utils.files import load_torch, save_torch
from utils.schedules import exponential_rate

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel


class LearnedMotion(Motion):
    """A motion by a network: nothing moves before `warm_up`, and nothing is learnt from `stop_MLP` on."""

    weights_name: str
    """Name of the file with the network."""
    usual_lambda = 0.0
    """Weight of the regulariser that suits this motion."""

    def __init__(self, network: nn.Module, setup: MotionSetup) -> None:
        self.network = network.to(setup.device)
        self.setup, self.params = setup, setup.params
        self.place = Placement(torch.tensor(setup.center, device=setup.device), setup.radius)
        self.iteration = setup.params.warm_up  # without a training everything moves
        self._shifts: Tensor | None = None

    def describe(self, iterations: int) -> str:
        """See `Motion`."""
        p = self.params
        grows = f"sees all times from step {p.grow_steps} on, " if p.grow_steps else ""
        still = f"{self.kind}: nothing moves before step {p.warm_up}; the motion {grows}"
        return f"{still}learns until step {min(p.stop_MLP - 1, iterations)}"

    @property
    def offset_weight(self) -> float:
        """Weight of the regulariser."""
        given = self.params.lambda_offset
        return self.usual_lambda if given is None else given

    @property
    def is_active(self) -> bool:
        """Whether the warm-up is over."""
        return self.iteration >= self.params.warm_up

    @property
    def is_trained(self) -> bool:
        """Whether this iteration changes the network."""
        return self.iteration < self.params.stop_MLP

    @property
    def phase(self) -> object:
        """See `Motion`."""
        return self.is_active, self.is_trained

    def on_iteration(self, iteration: int, model: GaussianModel) -> None:
        """See `Motion`."""
        del model
        self.iteration, self._shifts = iteration, None

    def note(self, shifts: Tensor) -> None:
        """Remember the shifts [..., 3] of this iteration, in units of the ball, for the regulariser."""
        self._shifts = shifts

    def losses(self) -> dict[str, Tensor]:
        """See `Motion`."""
        if not self.offset_weight or not self.is_trained or self._shifts is None:
            return {}
        return {"offset": self.offset_weight * self._shifts.norm(dim=-1).mean()}

    def parameter_groups(self) -> list[dict[str, object]]:
        """See `Motion`."""
        rate = self.params.deform_lr_init
        return [{"name": "deform", "params": list(self.network.parameters()), "lr": rate}]

    def rates(self) -> dict[str, Callable[[int], float]]:
        """See `Motion`."""
        p = self.params
        falling = max(p.deform_lr_max_steps - p.grow_steps, 1)

        def rate(iteration: int) -> float:
            """Falls once pictures of all times are used: the last ones have as much to say as the first."""
            return exponential_rate(max(iteration - p.grow_steps, 0), p.deform_lr_init, p.deform_lr_final, falling)

        return {"deform": rate}

    def state_dict(self) -> dict[str, Tensor]:
        """See `Motion`."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See `Motion`."""
        self.network.load_state_dict(state)

    def save(self, folder: Path) -> None:
        """See `Motion`."""
        save_torch(folder / self.weights_name, {name: value.cpu() for name, value in self.state_dict().items()})

    def load(self, folder: Path) -> None:
        """See `Motion`."""
        path = folder / self.weights_name
        try:
            self.load_state_dict(read_state(path))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{path}: not the weights of {self.kind} ({reason}); expected what train.py wrote"
            ) from None


def read_state(path: Path) -> dict[str, Tensor]:
    """A state dictionary on disk."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the weights of a motion; train again")
    state = load_torch(path)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: holds no state dictionary; expected the weights of a motion; use another file")
    return dict(state)
