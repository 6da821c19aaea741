"""How well tracked points follow true ones: all scores of `utils.point_track_metrics`, in space and in pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gaussian_renderer import RenderSettings
from gaussian_renderer.anchors import project
from gaussian_renderer.point_queries import CarrierRules, Carriers, carriers_of_pixels, carriers_of_points
from gaussian_renderer.point_tracks import PointTracks
from gaussian_renderer.true_points import TruePoints
from gaussian_renderer.view_paths import ViewPath
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from utils.point_track_metrics import (
    TrackErrors,
    in_picture,
    pixel_errors,
    pixel_lengths,
    space_errors,
    track_scores,
    visibility_scores,
)

MOVED = 0.01  # of its object's size, from which a true point counts as moving
Scores = dict[str, float]


def truth_carriers(
    truth: TruePoints,
    model: GaussianModel,
    paths: Sequence[ViewPath],
    rules: CarrierRules,
    settings: RenderSettings,
) -> Carriers:
    """Carriers of true points where and when they start; of true pixels, of the surface there in their own camera."""
    every = np.arange(len(truth.start))
    if truth.points is not None:
        points = torch.from_numpy(truth.points[truth.start, every])
        return carriers_of_points(model, points, torch.from_numpy(truth.times[truth.start]), rules)
    first = truth.pixels[truth.start, :, every]  # [P, C, 2]
    own = np.isfinite(first).all(-1).argmax(1)
    parts, order = [], []
    for number, moment in sorted(set(zip(own.tolist(), truth.start.tolist(), strict=True))):
        chosen = np.flatnonzero((own == number) & (truth.start == moment))
        camera = paths[number].cameras[moment]
        pixels = torch.from_numpy(first[chosen, number])
        parts.append(carriers_of_pixels(model, camera, pixels, rules, settings, may_miss=True))
        order.append(chosen)
    return Carriers.joined(parts).rows(torch.from_numpy(np.concatenate(order)).argsort())


def score_tracks(
    found: PointTracks, truth: TruePoints, paths: Sequence[ViewPath], metres_per_unit: float
) -> dict[str, Scores]:
    """All scores by name; what the truth does not know is not there.

    | name | of | unit of MTE and of the thresholds |
    |---|---|---|
    | `3d_cm` | all points | cm |
    | `3d_percent` | all points | percent of their object's size: the diagonal of the box around its true points |
    | `moving_percent` | those that move by more than 1 % of it | the same |
    | `object_L_percent` | those with label L | the same |
    | `2d` | each point in each camera that sees it at its start | px of a picture of 256 x 256 |
    | `3d_px` | the same, in space (TAPVid-3D) | z / sqrt(fx fy): the length of a pixel of the picture there |

    Args:
        found: tracks at the moments and in the cameras of the truth.
        truth: the truth.
        paths: the cameras.
        metres_per_unit: length of a world unit.
    """
    scores = {} if truth.points is None else _in_space(found, truth, metres_per_unit)
    return scores | (_in_pictures(found, truth, paths) if paths else {})


def _in_space(found: PointTracks, truth: TruePoints, metres_per_unit: float) -> dict[str, Scores]:
    valid = np.isfinite(truth.points).all(-1)

    def errors(scale: np.ndarray | float) -> TrackErrors:
        return TrackErrors(space_errors(found.points, truth.points, scale), valid, truth.start)

    scores = {"3d_cm": _scores(errors(100 * metres_per_unit))}
    if truth.labels is None:
        return scores
    sizes = _sizes(truth)
    percent, moving = errors(100 / sizes), _ways(truth) > MOVED * sizes
    scores["3d_percent"] = _scores(percent)
    if moving.any():
        scores["moving_percent"] = _scores(percent.of(moving))
    for label in np.unique(truth.labels):
        scores[f"object_{label}_percent"] = _scores(percent.of(truth.labels == label))
    return scores


def _scores(tracks: TrackErrors) -> Scores:
    return {"tracks": tracks.errors.shape[1], **track_scores(tracks)}


def _sizes(truth: TruePoints) -> np.ndarray:
    """Size [P] of each point's object: the diagonal of the box around its points at the first moment."""
    sizes = np.empty(len(truth.labels))
    for label in np.unique(truth.labels):
        own = truth.labels == label
        sizes[own] = np.linalg.norm(np.ptp(truth.points[0, own], axis=0))
    return np.maximum(sizes, 1e-9)


def _ways(truth: TruePoints) -> np.ndarray:
    """How far [P] each point gets from its first place."""
    return np.linalg.norm(truth.points - truth.points[0], axis=-1).max(0)


def _in_pictures(found: PointTracks, truth: TruePoints, paths: Sequence[ViewPath]) -> dict[str, Scores]:
    """Scores in the pictures, pooled over all pairs of a camera and a point that it sees at the point's start."""
    pixels, depth = (truth.pixels, None) if truth.points is None else _projected(truth, paths)
    sees = np.isfinite(pixels).all(-1) if truth.visible is None else truth.visible
    chosen = sees[truth.start, :, np.arange(len(truth.start))].T.ravel()  # camera by camera
    if not chosen.any():
        return {}
    start = np.tile(truth.start, len(paths))[chosen]
    sizes = np.array([[path.cameras[0].width, path.cameras[0].height] for path in paths])[:, None]
    flat = [_pairs(values, chosen) for values in (found.pixels, pixels, np.broadcast_to(sizes, pixels.shape))]
    tracks = TrackErrors(pixel_errors(*flat), in_picture(flat[1], flat[2]), start)
    scores = {"2d": _scores(tracks)}
    if depth is None:
        return scores
    known = np.isfinite(flat[1]).all(-1)
    views = _pairs(found.visible, chosen), _pairs(truth.visible, chosen)
    scores["2d"] |= visibility_scores(TrackErrors(tracks.errors, known, start), *views)
    offsets = space_errors(found.points, truth.points, 1.0)[:, None] / depth
    scores["3d_px"] = {"tracks": int(chosen.sum())}
    scores["3d_px"] |= visibility_scores(TrackErrors(_pairs(offsets, chosen), known, start), *views)
    return scores


def _pairs(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Values [T, C, P, ...] of the chosen pairs [C P] as tracks [T, M, ...]."""
    return values.reshape(len(values), -1, *values.shape[3:])[:, chosen]


def _projected(truth: TruePoints, paths: Sequence[ViewPath]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [T, C, P, 2] of true points, NaN behind a camera, and the length [T, C, P] of a pixel there."""
    rows = [[_seen_from(path.cameras[t], points) for path in paths] for t, points in enumerate(truth.points)]
    pixels, lengths = (np.array([[view[part] for view in row] for row in rows]) for part in (0, 1))
    return pixels, lengths


def _seen_from(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pixels, depth = project(camera, torch.from_numpy(points))
    hidden = depth <= 0
    pixels[hidden] = torch.nan
    return pixels.numpy(), pixel_lengths(depth.clamp_min(1e-9).numpy(), camera.fx, camera.fy)


def table(scores: dict[str, Scores]) -> str:
    """Scores as aligned lines, one for each name."""
    columns = list(dict.fromkeys(name for row in scores.values() for name in row))
    cells = [["", *columns]]
    cells += [[name, *(_cell(row.get(column)) for column in columns)] for name, row in scores.items()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.rjust, row, widths)) for row in cells)


def _cell(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"
