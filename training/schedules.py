"""What changes with the iteration: learning rates, the SH degree, the order of the cameras, the background."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

SH_DEGREE_INTERVAL = 1000  # iterations between two steps of the active SH degree


def exponential_rate(
    step: int, start: float, end: float, max_steps: int, delay_steps: int = 0, delay_mult: float = 1.0
) -> float:
    """Log-linear interpolation from `start` to `end` over `max_steps`, eased in over `delay_steps` (static_3dgs 5.2).

    The value is 0 before step 0 and where both ends are 0; after `max_steps` it stays at `end`.
    """
    if step < 0 or (start == 0.0 and end == 0.0):
        return 0.0
    if start <= 0.0 or end <= 0.0:
        raise ValueError(f"exponential schedule from {start} to {end}; expected two positive rates (or both 0)")
    done = min(max(step / max(max_steps, 1), 0.0), 1.0)
    rate = math.exp((1.0 - done) * math.log(start) + done * math.log(end))
    if delay_steps <= 0:
        return rate
    ease = math.sin(0.5 * math.pi * min(max(step / delay_steps, 0.0), 1.0))
    return rate * (delay_mult + (1.0 - delay_mult) * ease)


@dataclass(frozen=True)
class LearningRates:
    """Rates that depend on the iteration, by the name of their optimizer group; all other groups keep theirs."""

    by_group: dict[str, Callable[[int], float]]

    def apply(self, optimizer: torch.optim.Optimizer, iteration: int) -> None:
        """Write the rates of `iteration` (1-based) into the optimizer's groups."""
        for group in optimizer.param_groups:
            rate = self.by_group.get(group["name"])
            if rate is not None:
                group["lr"] = rate(iteration)


@dataclass
class CameraOrder:
    """Draws camera indices at random without replacement and starts over when all were seen.

    The refill is eager so that `upcoming` always knows the next one (for prefetching); `remaining` belongs into a
    checkpoint, together with Python's random state.
    """

    num_cameras: int
    remaining: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.num_cameras < 1:
            raise ValueError("no training cameras; expected at least one: check the data set and --eval")
        self._refill()

    def draw(self) -> int:
        """The next camera's index."""
        index = self.remaining.pop()
        self._refill()
        return index

    @property
    def upcoming(self) -> int:
        """The index that `draw` will return next."""
        return self.remaining[-1]

    def _refill(self) -> None:
        if not self.remaining:
            self.remaining = random.sample(range(self.num_cameras), self.num_cameras)


class Background:
    """The colour behind everything: white, black, or a new random one for every iteration."""

    def __init__(self, white: bool, is_random: bool, device: torch.device):
        self.fixed = torch.ones(3, device=device) if white else None  # [3] RGB, also for evaluation; None = black
        self._is_random, self._device = is_random, device

    def draw(self) -> Tensor | None:
        """[3] RGB for one training iteration; None = black."""
        return torch.rand(3, device=self._device) if self._is_random else self.fixed
