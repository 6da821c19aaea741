"""Scores of 3D point tracks, named as PointOdyssey's and Dynamic 3D Gaussians' (Luiten et al. 2024).

Distances are in percent of the object's size rather than in centimetres: scenes have no common unit.
"""

from __future__ import annotations

import numpy as np

DELTA_PERCENT = (1, 2, 4, 8, 16)  # of the object's size
LOST_PERCENT = (16, 50)  # farther from the truth a track does not survive


def track_metrics(errors: np.ndarray, start: int, size: float) -> dict[str, float]:
    """Scores of P tracks over T moments.

    | name | meaning |
    |---|---|
    | `track_error`, `track_error_percent` | mean distance without the start, world units and percent of the size |
    | `MTE` | median over the moments of each track, mean over tracks, world units |
    | `delta_avg` | percent of pairs without the start nearer than x, mean over `DELTA_PERCENT` |
    | `survival_x` | percent of pairs that are no farther than x percent, and never were since the start |

    Args:
        errors: distances [T, P] from the truth, world units; NaN is a failure.
        start: moment at which the tracks were tied to the object; they are followed to both sides from there.
        size: of the object, world units.
    """
    errors = np.where(np.isnan(errors), np.inf, errors)
    percent = 100 * errors / size
    moving = np.delete(percent, start, axis=0)
    scores = {
        "track_error": float(np.delete(errors, start, axis=0).mean()),
        "track_error_percent": float(moving.mean()),
        "MTE": float(np.median(errors, axis=0).mean()),
        "delta_avg": float(np.mean([100 * (moving < limit).mean() for limit in DELTA_PERCENT])),
    }
    return scores | {f"survival_{limit}": survival(percent, start, limit) for limit in LOST_PERCENT}


def survival(errors: np.ndarray, start: int, limit: float) -> float:
    """Percent of the pairs [T, P] that no error above `limit` separates from the start."""
    alive = ~(errors > limit)
    onward = np.logical_and.accumulate(alive[start:], axis=0)
    back = np.logical_and.accumulate(alive[: start + 1][::-1], axis=0)[1:]
    return float(100 * np.concatenate([back, onward]).mean())
