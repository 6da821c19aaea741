"""When a moment has been trained long enough: its loss does not fall any more."""

from __future__ import annotations

from torch import Tensor

WINDOW = 100  # iterations whose losses are averaged: views differ


class Settling:
    """Compares the mean losses of successive windows; waits for the device once per window."""

    def __init__(self, tolerance: float) -> None:
        """`tolerance` is the share by which a window must be below the one before; 0 = never settled."""
        self.tolerance = tolerance
        self.is_settled = False
        self.restart()

    def restart(self) -> None:
        """Begin with another moment."""
        self.is_settled, self._sum, self._count, self._earlier = False, None, 0, None

    def observe(self, loss: Tensor) -> None:
        """Take note of the loss of one iteration, a number on the device."""
        if not self.tolerance:
            return
        self._sum = loss.detach().clone() if self._sum is None else self._sum.add_(loss.detach())
        self._count += 1
        if self._count == WINDOW:
            self._close()

    def _close(self) -> None:
        mean = float(self._sum) / WINDOW
        self.is_settled = self._earlier is not None and mean > (1 - self.tolerance) * self._earlier
        self._earlier, self._sum, self._count = mean, None, 0
