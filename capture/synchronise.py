"""When each camera started: offsets in seconds from sound, a flash, or the ups and downs of motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from scipy.signal import correlate, correlation_lags

from capture.ingest import Recording, import_av, read_frames
from utils.errors import UserError
from utils.files import read_json
from utils.progress import Progress

AUDIO_HZ = 8000
AUDIO_HOP = 8  # samples a loudness value; 1 ms
CURVE_WIDTH_PX = 160  # of the pictures that motion is measured in
MIN_OVERLAP = 0.5  # of the shorter curve
ROUNDS = 20  # of the fit that pays little heed to pairs that disagree


@dataclass(frozen=True, eq=False)
class Synchronisation:
    """Result and how far to trust it."""

    method: str
    offsets_sec: np.ndarray  # [C] moment of each camera's first frame; the earliest is 0
    residuals_sec: np.ndarray  # [C] how far the pairs of each camera disagree with it, median


def synchronise(recordings: Sequence[Recording], method: str, offsets_path: str = "") -> Synchronisation:
    """Offsets by the given method; `auto` = none where all recordings are equally long, else motion."""
    zeros = np.zeros(len(recordings))
    if offsets_path:
        return Synchronisation("given", _given(recordings, Path(offsets_path)), zeros)
    if method == "auto":
        method = "none" if len({len(recording) for recording in recordings}) == 1 else "motion"
    if method == "none":
        return Synchronisation(method, zeros, zeros)
    if method == "audio":
        curves, rate = [loudness(recording) for recording in recordings], AUDIO_HZ / AUDIO_HOP
    else:
        rate = min(recording.fps for recording in recordings)
        measure = motion_curve if method == "motion" else brightness_curve
        curves = [_on_clock(recording, curve, rate) for recording, curve in _measured(recordings, measure)]
    if method == "flash":
        return Synchronisation(method, _normalised(-flash_moments(recordings, curves) / rate), zeros)
    lags, weights = pairwise_lags(curves)
    offsets, residuals = fit_offsets(lags, weights)
    if method == "motion":  # whole frames: the curves hold no more
        offsets = np.round(offsets)
    return Synchronisation(method, _normalised(offsets) / rate, residuals / rate)


def motion_curve(images: Sequence[np.ndarray]) -> np.ndarray:
    """How much each picture differs from the one before, [n]; the first is as the second."""
    changes = [float(np.abs(b - a).mean()) for a, b in zip(images, images[1:], strict=False)]
    return np.array([changes[0], *changes])


def brightness_curve(images: Sequence[np.ndarray]) -> np.ndarray:
    """Mean grey value of each picture, [n]."""
    return np.array([float(image.mean()) for image in images])


def flash_moments(recordings: Sequence[Recording], curves: Sequence[np.ndarray]) -> np.ndarray:
    """Index of the strongest rise of brightness of each curve; it must stand out."""
    rises = [np.diff(curve) for curve in curves]
    for recording, rise in zip(recordings, rises, strict=True):
        if rise.max() < 6 * (np.median(np.abs(rise)) + 0.25):
            raise UserError(f"{recording.path}: no flash was seen; expected a sudden rise of light; try --sync motion")
    return np.array([float(np.argmax(rise)) for rise in rises])


def loudness(recording: Recording) -> np.ndarray:
    """Rises of the sound's energy in steps of 1 ms, [n]: what claps and beats look like from everywhere."""
    av = import_av()
    with av.open(str(recording.path)) if not recording.pictures else _no_sound(recording) as container:
        if not container.streams.audio:
            _no_sound(recording)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=AUDIO_HZ)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
    energy = np.square(samples[: len(samples) // AUDIO_HOP * AUDIO_HOP]).reshape(-1, AUDIO_HOP).mean(1)
    return np.maximum(np.diff(np.log(energy + 1e-6)), 0)


def pairwise_lags(curves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """For every two curves by how many samples the second started later, [C, C], and their correlation there."""
    count = len(curves)
    lags, weights = np.zeros((count, count)), np.zeros((count, count))
    for a, b in combinations(range(count), 2):
        lag, score = best_lag(curves[a], curves[b])
        lags[a, b], lags[b, a] = lag, -lag
        weights[a, b] = weights[b, a] = max(score, 0.0)
    return lags, weights


def best_lag(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Number of samples that `second` started after `first`, and the correlation of the two at it (-1..1)."""
    ones = np.ones_like(first), np.ones_like(second)
    lags = correlation_lags(len(first), len(second))
    overlap = correlate(*ones)
    a, b = first - first.mean(), second - second.mean()
    energy = correlate(a * a, ones[1]) * correlate(ones[0], b * b)
    score = correlate(a, b) / np.sqrt(np.maximum(energy, 1e-12))
    score[overlap < MIN_OVERLAP * min(len(first), len(second))] = -1
    best = int(np.argmax(score))
    return float(lags[best]), float(score[best])


def fit_offsets(lags: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets [C] that explain most pairwise lags [C, C] (an L1 fit by reweighting), and each one's median misfit."""
    count = len(lags)
    rows, columns = np.triu_indices(count, 1)
    design = np.zeros((len(rows), count))
    design[np.arange(len(rows)), columns], design[np.arange(len(rows)), rows] = 1, -1
    target, trust = lags[rows, columns], np.square(weights[rows, columns]) + 1e-6
    scale = np.ones(len(rows))
    for _ in range(ROUNDS):
        root = np.sqrt(trust * scale)
        offsets = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]
        scale = 1 / np.maximum(np.abs(design @ offsets - target), 0.1)
    misfit = np.abs(offsets[None] - offsets[:, None] - lags)
    np.fill_diagonal(misfit, np.nan)
    return offsets, np.nanmedian(misfit, axis=1)


def _measured(recordings: Sequence[Recording], measure: Callable[[Sequence[np.ndarray]], np.ndarray]):
    with Progress(len(recordings)) as progress:
        for number, recording in enumerate(recordings, start=1):
            yield recording, measure([_small_grey(image) for _, image in read_frames(recording)])
            progress.update(number)


def _small_grey(image: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height = max(1, round(grey.shape[0] * CURVE_WIDTH_PX / grey.shape[1]))
    return cv2.resize(grey, (CURVE_WIDTH_PX, height), interpolation=cv2.INTER_AREA).astype(np.float32)


def _on_clock(recording: Recording, curve: np.ndarray, rate: float) -> np.ndarray:
    """The curve at even steps of the common rate."""
    count = int(recording.times_sec[-1] * rate + 1e-6) + 1
    return np.interp(np.arange(count) / rate, recording.times_sec, curve)


def _normalised(offsets: np.ndarray) -> np.ndarray:
    return offsets - offsets.min()


def _given(recordings: Sequence[Recording], path: Path) -> np.ndarray:
    table = read_json(path)
    names = [recording.name for recording in recordings]
    numbers = isinstance(table, Mapping) and all(isinstance(table.get(name), (int, float)) for name in names)
    if not numbers:
        raise UserError(f"{path}: expected one number of seconds for each of {', '.join(names)}; correct --offsets")
    return _normalised(np.array([float(table[name]) for name in names]))


def _no_sound(recording: Recording):
    raise UserError(f"{recording.path}: has no sound; expected some for --sync audio; try --sync motion")
