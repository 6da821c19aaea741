"""Which iterations belong to which moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeline:
    """The first moment gets `first` iterations (1-based), each of the others `each`."""

    first: int
    each: int
    count: int  # of moments

    @property
    def total(self) -> int:
        """Iterations of all moments."""
        return self.end_of(self.count - 1)

    def step_of(self, iteration: int) -> int:
        """Number of the moment that an iteration belongs to."""
        return min(max(0, -((self.first - iteration) // self.each)), self.count - 1)

    def end_of(self, step: int) -> int:
        """Last iteration of a moment."""
        return self.first + step * self.each

    def within(self, step: int, share: float) -> int:
        """Iteration after which a share of a moment other than the first is over."""
        return self.end_of(step - 1) + max(1, round(share * self.each))

    def begins(self, iteration: int) -> bool:
        """Whether this is the first iteration of a moment other than the first."""
        return iteration > self.first and self.step_of(iteration) != self.step_of(iteration - 1)

    def ends(self, iteration: int) -> bool:
        """Whether this is the last iteration of its moment."""
        return iteration == self.end_of(self.step_of(iteration))

    def share(self, iteration: int) -> float:
        """How much of its moment is over after this iteration, 0..1."""
        step = self.step_of(iteration)
        length = self.each if step else self.first
        return 1 - (self.end_of(step) - iteration) / length
