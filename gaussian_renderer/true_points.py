"""True paths of points: our `tracks_gt.npz`, and the files `3dgt.json` and `2dgt.json` of Panoptic Sports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gaussian_renderer.tracks import read_arrays
from gaussian_renderer.view_paths import ViewPath
from scene.cameras import Camera
from utils.errors import UserError
from utils.files import read_json

SINGLE_CAMERA = -1  # stands for the one camera of a scene, which moves


@dataclass(frozen=True)
class TruePoints:
    """Exact paths of P points over T moments, in space or in the pictures of C cameras."""

    times: np.ndarray  # [T] rising, 0..1
    start: np.ndarray  # [P] moment at which each is asked for: the first at which it is seen
    cameras: tuple[int, ...]  # C numbers in the rig
    points: np.ndarray | None = None  # [T, P, 3] world units
    labels: np.ndarray | None = None  # [P] ids of the objects
    visible: np.ndarray | None = None  # [T, C, P] bool
    pixels: np.ndarray | None = None  # [T, C, P, 2] of the pictures as they are stored, +0.5 at the first one's centre

    def of_cameras(self, paths: Mapping[int, ViewPath]) -> TruePoints:
        """Only what the cameras of a scene could have seen, pixels at their sizes.

        In pictures, points that none of these cameras sees at their start go.
        """
        kept = [index for index, number in enumerate(self.cameras) if number in paths]
        cameras = tuple(self.cameras[index] for index in kept)
        visible = None if self.visible is None else self.visible[:, kept]
        if self.pixels is None:
            return replace(self, cameras=cameras, visible=visible)
        pixels = self.pixels[:, kept] * np.array([_zoom(paths[number].cameras[0]) for number in cameras])[:, None]
        begins = np.isfinite(pixels[self.start, :, np.arange(len(self.start))]).all(-1).any(1)
        return replace(self, cameras=cameras, start=self.start[begins], pixels=pixels[:, :, begins])


def _zoom(camera: Camera) -> tuple[float, float]:
    """Size of a camera's picture over that of the stored one, in both directions."""
    stored = camera.info or camera
    return camera.width / stored.width, camera.height / stored.height


def read_true_points(path: Path, moments: Sequence[float], first_frame: int, sequence: str) -> TruePoints:
    """The truth in a file.

    Args:
        path: .npz (times and cameras are in it) or .json.
        moments: of the scene; the JSON files have no times of their own.
        first_frame: JSON files: number of the moment that their first sample shows.
        sequence: JSON files: which of their sequences.

    Raises:
        UserError: one line about what is wrong with the file.
    """
    if path.suffix == ".npz":
        return _from_npz(path)
    if path.suffix != ".json":
        raise UserError(f"{path}: expected true tracks as .npz or .json; check --evaluate")
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected true tracks; check --evaluate")
    tracks = _sequence(path, sequence)
    samples = moments[first_frame:]
    if len(samples) < 2:
        seen = f"--gt_first_frame is {first_frame}, the scene has {len(moments)} moments"
        raise UserError(f"{path}: {seen}; expected at least 2 from there on; give a smaller one")
    if any(isinstance(track, Mapping) for track in tracks):
        return _from_pixels(path, tracks, samples)
    return _from_points(path, tracks, samples)


def _from_npz(path: Path) -> TruePoints:
    """`tracks_gt.npz` of the procedural scenes; points that nobody ever sees are left out."""
    arrays = read_arrays(path, ("times", "points", "labels", "visible"))
    points, visible, labels = arrays["points"], arrays["visible"].astype(bool), arrays["labels"]
    visible = visible[:, None] if visible.ndim == 2 else visible
    cameras = (SINGLE_CAMERA,) if arrays["visible"].ndim == 2 else tuple(range(visible.shape[1]))
    expected = (len(arrays["times"]), len(labels))
    if points.shape != (*expected, 3) or visible.shape[::2] != expected:
        raise UserError(
            f"{path}: points {points.shape} and visible {arrays['visible'].shape} do not fit "
            f"{expected[0]} times and {expected[1]} labels; expected [T, P, 3] and [T, C, P]; make it anew"
        )
    seen = visible.any(1)
    chosen = seen.any(0)
    if not chosen.any():
        raise UserError(f"{path}: no point of {len(chosen)} is ever visible; expected some; make it anew")
    start = seen.argmax(0)[chosen]
    times = arrays["times"].astype(np.float64)
    return TruePoints(times, start, cameras, points[:, chosen].astype(float), labels[chosen], visible[:, :, chosen])


def _sequence(path: Path, sequence: str) -> list:
    """The tracks of one sequence of a JSON file {sequence: {track: ...}}, in the order of the file."""
    found = read_json(path)
    if not isinstance(found, Mapping) or not all(isinstance(tracks, Mapping) for tracks in found.values()):
        raise UserError(f"{path}: expected {{sequence: {{track: samples}}}}; take another file")
    if sequence not in found and (sequence or len(found) != 1):
        names = ", ".join(found)
        raise UserError(f"{path}: sequence is {sequence!r}; expected one of {names}; add --gt_sequence NAME")
    tracks = list((found[sequence] if sequence else next(iter(found.values()))).values())
    if not tracks:
        raise UserError(f"{path}: no tracks in it; expected some; take another file")
    return tracks


def _from_points(path: Path, tracks: Sequence, samples: Sequence[float]) -> TruePoints:
    points = np.stack(_arrays(path, tracks, 3, len(samples)), axis=1)
    known = np.isfinite(points).all(-1)
    kept = known.any(0)
    return TruePoints(np.array(samples[: len(points)]), known.argmax(0)[kept], (), points[:, kept])


def _from_pixels(path: Path, tracks: Sequence, samples: Sequence[float]) -> TruePoints:
    """Every track in every camera is a point of its own, which that camera alone knows."""
    try:
        pairs = [(int(number), track) for views in tracks for number, track in views.items()]
    except (ValueError, AttributeError):
        raise UserError(f"{path}: expected {{camera number: [[u, v], ...]}} of each track; take another file") from None
    cameras = sorted({number for number, _ in pairs})
    found = _arrays(path, [track for _, track in pairs], 2, len(samples))
    pixels = np.full((len(found[0]), len(cameras), len(pairs), 2), np.nan)
    for index, ((number, _), track) in enumerate(zip(pairs, found, strict=True)):
        pixels[:, cameras.index(number), index] = track + 0.5  # the file has the first pixel's centre at 0
    known = np.isfinite(pixels).all(-1).any(1)
    kept = known.any(0)
    start = known.argmax(0)[kept]
    return TruePoints(np.array(samples[: len(pixels)]), start, tuple(cameras), pixels=pixels[:, :, kept])


def _arrays(path: Path, tracks: Sequence, width: int, limit: int) -> list[np.ndarray]:
    """Samples of all tracks, as many of each."""
    arrays = [_array(path, track, width, limit) for track in tracks]
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise UserError(f"{path}: tracks have {sorted(lengths)} samples; expected as many of each, null where unknown")
    return arrays


def _array(path: Path, track: object, width: int, limit: int) -> np.ndarray:
    """Samples [T, width] of one track, at most `limit`; null is not known."""
    try:
        array = np.array(track, dtype=float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != width or len(array) < 2:
        raise UserError(f"{path}: a track is {array.shape}; expected at least 2 samples of {width} numbers; mend it")
    return array[:limit]
