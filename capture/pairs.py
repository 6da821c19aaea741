"""Which photos are compared with which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

OVERLAP = 10  # neighbours on each side that a frame is compared with
KEY_FRAMES = 40  # at most so many, spread over the sequence, are all compared with each other
MANY_PHOTOS = 300  # from which on not all pairs are compared without being asked
Matcher = Literal["exhaustive", "sequential"]


def choose_matcher(asked: str, count: int, is_video: bool) -> Matcher:
    """`asked`, or for "auto" what suits `count` photos."""
    if asked in ("exhaustive", "sequential"):
        return asked  # type: ignore[return-value]
    return "sequential" if is_video or count > MANY_PHOTOS else "exhaustive"


def sequence_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of a sequence: near neighbours, ever farther ones, and key frames with each other, which close loops.

    n frames give about n (OVERLAP + log2 n) + KEY_FRAMES² / 2 pairs, instead of n² / 2.
    """
    count = len(names)
    steps = {*range(1, OVERLAP + 1), *(2**power for power in range(count.bit_length()))}
    pairs = {(first, first + step) for first in range(count) for step in steps if first + step < count}
    keys = sorted({round(key * (count - 1) / max(KEY_FRAMES - 1, 1)) for key in range(KEY_FRAMES)})
    pairs |= {(first, second) for first in keys for second in keys if first < second}
    return [(names[first], names[second]) for first, second in sorted(pairs)]
