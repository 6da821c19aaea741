"""When a visitor gets which picture: small ones while something moves, a full one when all is still."""

from __future__ import annotations

from dataclasses import dataclass

STILL_SEC = 0.2  # without a change, after which the full picture is drawn
REFRESH_SEC = 1.0  # between two pictures of a model in training
MOVING_SEC = 1 / 15  # that a picture may take while something moves
SCALES = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125)  # of the full picture's sides
FIRST_SCALE = 3  # index into SCALES
ROOM = 0.55  # share of MOVING_SEC below which the next larger scale is tried

SMALL, FULL = "small", "full"


@dataclass(frozen=True)
class Wanted:
    """A picture that is to be drawn."""

    kind: str  # SMALL or FULL
    scale: float  # of the full picture's sides


class Pace:
    """Decides for one visitor; times are monotonic seconds. Not for several threads at once."""

    def __init__(self) -> None:
        self._changed_at = 0.0
        self._is_pending = True  # something has changed since the last small picture was begun
        self._full_at: float | None = None  # when the full picture of what is now was begun
        self._is_busy = False
        self._scale = FIRST_SCALE

    def touch(self, now: float) -> None:
        """Something has changed: the camera, the time, a choice."""
        self._changed_at, self._is_pending, self._full_at = now, True, None

    def due(self, now: float, is_live: bool = False) -> Wanted | None:
        """The picture to begin now, None for none.

        Args:
            now: s.
            is_live: whether the model changes by itself.
        """
        if self._is_busy:
            return None
        if now - self._changed_at < STILL_SEC:
            return Wanted(SMALL, SCALES[self._scale]) if self._is_pending else None
        if self._full_at is None or (is_live and now - self._full_at >= REFRESH_SEC):
            return Wanted(FULL, 1.0)
        return None

    def began(self, wanted: Wanted, now: float) -> None:
        """A picture is being drawn."""
        self._is_busy, self._is_pending = True, False
        if wanted.kind == FULL:
            self._full_at = now

    def ended(self, wanted: Wanted | None, seconds: float) -> None:
        """It is with the visitor, after so many seconds of drawing and packing; None = it came to nothing."""
        self._is_busy = False
        if wanted is None or wanted.kind == FULL:
            return
        if seconds > MOVING_SEC:
            self._scale = min(self._scale + 1, len(SCALES) - 1)
        elif seconds < ROOM * MOVING_SEC:
            self._scale = max(self._scale - 1, 0)


def picture_size(canvas: tuple[int, int], longest: int, scale: float) -> tuple[int, int]:
    """(width, height) px of a picture for a canvas, of the same aspect: at most `longest`, times `scale`."""
    factor = scale * min(1.0, longest / max(*canvas, 1))
    return max(1, round(canvas[0] * factor)), max(1, round(canvas[1] * factor))
