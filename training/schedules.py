"""What changes with the iteration: learning rates, the SH degree, the order of the cameras, the background."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

SH_DEGREE_INTERVAL = 1000  # iterations between two steps of the active SH degree
MIDDLE = 0.5  # moment at which a growing order begins
FIRST_SHARE = 0.1  # of the pictures, with which it begins
NEWEST_SHARE = 0.05  # of the pictures are the newest ones
MIN_KNOWN = 8  # pictures at least
MIXED_ROUND = 16  # draws between two looks at how far it has grown


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
    admitted: Sequence[int] | None = None  # indices that may be drawn; None = all

    def __post_init__(self) -> None:
        if self.num_cameras < 1:
            raise ValueError("no training cameras; expected at least one: check the data set and --eval")
        self._refill()

    def admit(self, indices: Sequence[int] | None) -> None:
        """From now on draw from these cameras only; None = from all."""
        if indices != self.admitted:
            self.admitted, self.remaining = indices, []
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
            chosen = range(self.num_cameras) if self.admitted is None else self.admitted
            self.remaining = random.sample(chosen, len(chosen))


@dataclass
class GrowingOrder(CameraOrder):
    """Pictures of a short time in the middle first, then of more and more, to the first and the last at `steps`.

    What moves far is otherwise lost: a picture of all times at once shows it nowhere. While the time grows, every
    other picture is one of the newest, so that the motion keeps up.
    """

    times: Sequence[float] = ()  # of the cameras
    steps: int = 0  # iterations until all cameras are drawn from
    drawn: int = 0

    def draw(self) -> int:
        """The next camera's index."""
        self.drawn += 1
        return super().draw()

    def _refill(self) -> None:
        if self.drawn >= self.steps:
            super()._refill()
        elif not self.remaining:
            known = self._known()
            newest = known[-max(MIN_KNOWN // 2, round(NEWEST_SHARE * len(self.times))) :]
            self.remaining = random.choices(known, k=MIXED_ROUND // 2) + random.choices(newest, k=MIXED_ROUND // 2)
            random.shuffle(self.remaining)

    def _known(self) -> list[int]:
        """The cameras drawn from so far, the newest last."""
        ordered = sorted(range(len(self.times)), key=lambda index: abs(self.times[index] - MIDDLE))
        share = FIRST_SHARE + (1 - FIRST_SHARE) * self.drawn / self.steps
        return ordered[: max(MIN_KNOWN, round(share * len(ordered)))]


class Background:
    """The colour behind everything: white, black, or a new random one for every iteration."""

    def __init__(self, white: bool, is_random: bool, device: torch.device):
        self.fixed = torch.ones(3, device=device) if white else None  # [3] RGB, also for evaluation; None = black
        self._is_random, self._device = is_random, device

    def draw(self) -> Tensor | None:
        """[3] RGB for one training iteration; None = black."""
        return torch.rand(3, device=self._device) if self._is_random else self.fixed
