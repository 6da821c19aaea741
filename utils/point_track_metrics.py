"""Exact scores of point tracks, as PointOdyssey (`test_on_pod` of PIPs++) and Dynamic 3D Gaussians define them, and
those of TAP-Vid and TAPVid-3D.

Tracks are arrays over T moments and P points. Each point is asked for at its own moment `start` [P]; what lies before
does not count. Distances are in the unit of the thresholds: pixels of a picture of 256 x 256, or centimetres, or
percent of an object's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = (1, 2, 4, 8, 16)  # thresholds of delta, APD and AJ
LOST = (50, 16)  # farther from the truth a track does not survive
NORMAL_PX = 256  # width and height of the picture that pixel errors refer to


@dataclass(frozen=True)
class TrackErrors:
    """How far P tracks are from the truth at T moments."""

    errors: np.ndarray  # [T, P] in the unit of the thresholds; inf where there is no prediction
    valid: np.ndarray  # [T, P] bool: the truth is known there; points that are hidden stay valid
    start: np.ndarray  # [P] moment at which each point was asked for

    @property
    def since_start(self) -> np.ndarray:
        """[T, P] bool: the start and what comes after it."""
        return np.arange(len(self.errors))[:, None] >= self.start

    @property
    def after_start(self) -> np.ndarray:
        """[T, P] bool: what comes after the start."""
        return np.arange(len(self.errors))[:, None] > self.start

    def of(self, chosen: np.ndarray) -> TrackErrors:
        """The tracks chosen by a mask [P] or by indices."""
        return TrackErrors(self.errors[:, chosen], self.valid[:, chosen], self.start[chosen])


def pixel_errors(found: np.ndarray, truth: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Distances [...] of pixels [..., 2] in a picture whose width and height are 256 px; inf where found is NaN.

    Args:
        found, truth: pixels of a picture of `size`.
        size: (width, height) in px, [..., 2]; each axis is scaled by itself.
    """
    return _distances((found - truth) * NORMAL_PX / np.asarray(size, float), found)


def space_errors(found: np.ndarray, truth: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """Distances [...] of points [..., 3] times `scale` [...]; inf where found is NaN.

    The scale is 100 for points in metres and thresholds in cm, 100 / size for percent of a size.
    """
    return _distances(found - truth, found) * scale


def _distances(offsets: np.ndarray, found: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(found).all(-1), np.linalg.norm(offsets, axis=-1), np.inf)


def in_picture(pixels: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Which true pixels [..., 2] count: finite, and from 1 to W - 2 and H - 2.

    The limits are those of PointOdyssey, where the first pixel's centre is at 0; here it is at 0.5.
    """
    from_centre = np.asarray(pixels, float) - 0.5
    return ((from_centre >= 1) & (from_centre <= np.asarray(size) - 2)).all(-1)  # NaN compares as False


def track_scores(tracks: TrackErrors) -> dict[str, float]:
    """Scores of the tracks; NaN where no pair counts.

    | name | meaning |
    |---|---|
    | `MTE` | median over the valid moments of each track, the start included, mean over tracks |
    | `delta_x` | percent of valid pairs without the start that are nearer than x |
    | `delta_avg` | mean of these over x = 1, 2, 4, 8, 16 |
    | `survival_x` | percent of pairs, the start included, before which and at which no valid error is above x |
    """
    deltas = {f"delta_{limit}": delta(tracks, limit) for limit in NEAR}
    survivals = {f"survival_{limit}": survival(tracks, limit) for limit in LOST}
    return {"MTE": median_error(tracks), "delta_avg": float(np.mean(list(deltas.values()))), **deltas, **survivals}


def delta(tracks: TrackErrors, limit: float) -> float:
    """Percent of the valid pairs after the start with an error below `limit`, pooled over tracks."""
    counted = tracks.valid & tracks.after_start
    return _percent((tracks.errors < limit) & counted, counted)


def survival(tracks: TrackErrors, limit: float) -> float:
    """Percent of pairs, from the start on, that no valid error above `limit` separates from the start."""
    lost = tracks.valid & tracks.since_start & (tracks.errors > limit)
    return _percent(~np.logical_or.accumulate(lost, axis=0) & tracks.since_start, tracks.since_start)


def median_error(tracks: TrackErrors) -> float:
    """Mean over tracks of the median of each one's valid errors, the start included."""
    counted = tracks.valid & tracks.since_start
    medians = [np.median(tracks.errors[counted[:, i], i]) for i in range(counted.shape[1]) if counted[:, i].any()]
    return float(np.mean(medians)) if medians else float("nan")


def visibility_scores(tracks: TrackErrors, found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Scores that ask for visibility as well, in percent (Doersch et al. 2022), over the valid pairs after the start.

    | name | meaning |
    |---|---|
    | `OA` | pairs whose visibility is right |
    | `APD` | visible pairs nearer than x, mean over x |
    | `AJ` | (seen, rightly, nearer than x) / (visible or wrongly seen: hidden, or not nearer than x), mean over x |

    Args:
        tracks: errors and starts.
        found: visibility [T, P] bool that was predicted.
        truth: the true one.
    """
    counted = tracks.valid & tracks.after_start
    found, truth = found & counted, truth & counted
    near = [tracks.errors < limit for limit in NEAR]
    return {
        "OA": _percent((found == truth) & counted, counted),
        "APD": float(np.mean([_percent(within & truth, truth) for within in near])),
        "AJ": float(np.mean([_jaccard(within, found, truth) for within in near])),
    }


def _jaccard(within: np.ndarray, found: np.ndarray, truth: np.ndarray) -> float:
    right = found & truth & within
    wrong = found & ~(truth & within)
    return 100 * float(right.sum()) / max(int(truth.sum() + wrong.sum()), 1)


def pixel_lengths(depth: np.ndarray, fx: float, fy: float) -> np.ndarray:
    """World length of a pixel at camera depths: z / sqrt(fx fy), the unit of TAPVid-3D (Koppula et al. 2024)."""
    return depth / np.sqrt(fx * fy)


def _percent(part: np.ndarray, whole: np.ndarray) -> float:
    return 100 * float(part.sum()) / float(whole.sum()) if whole.any() else float("nan")
