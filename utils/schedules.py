"""Values that change with the iteration."""

from __future__ import annotations

import math


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
