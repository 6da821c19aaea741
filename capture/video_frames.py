"""Sharp frames of a video, evenly spread over it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from capture.ingest import Recording, open_video, read_frames
from utils.errors import UserError
from utils.progress import Progress, say

DEFAULT_RATE = 2.0  # frames taken per second when nothing is asked for
MIN_FRAMES, MAX_FRAMES = 40, 300  # of the default
WINDOW_SHARE = 0.5  # of the time between two frames in which the sharpest one is looked for
LOOKED_AT_PX = 640  # side of the pictures whose sharpness is measured, so that noise counts little
JPEG_QUALITY = 95


def take_frames(path: Path, folder: Path, num_frames: int, fps: float | None) -> list[str]:
    """Write sharp frames of a video as `<frame number>.jpg`; returns the names.

    Args:
        path: the video.
        folder: new folder.
        num_frames: how many; 0 = by `fps`.
        fps: how many of each second; None = 2, but 40 to 300 of the whole video.
    """
    video = open_video(path)
    wanted = frame_count(video, num_frames, fps)
    sharpness = measure_sharpness(video)
    chosen = choose_frames(video.times_sec, sharpness, wanted)
    say(f"{path.name}: {len(chosen)} of {len(video)} frames, {_gain(sharpness, chosen)}")
    folder.mkdir(parents=True)
    names = []
    for index, frame in read_frames(video, chosen):
        names.append(f"{index:06d}.jpg")
        Image.fromarray(frame).save(folder / names[-1], quality=JPEG_QUALITY, subsampling=0)
    return names


def frame_count(video: Recording, num_frames: int, fps: float | None) -> int:
    """How many frames are wanted of a video."""
    if num_frames < 0 or (fps is not None and fps <= 0):
        raise UserError(f"--num_frames is {num_frames}, --fps {fps}; expected positive numbers; change them")
    duration_sec = float(video.times_sec[-1]) + 1 / video.fps
    by_rate = round(duration_sec * (DEFAULT_RATE if fps is None else fps))
    wanted = num_frames or (int(np.clip(by_rate, MIN_FRAMES, MAX_FRAMES)) if fps is None else by_rate)
    return max(2, min(wanted, len(video)))


def measure_sharpness(video: Recording) -> np.ndarray:
    """Variance of the Laplacian of every frame, [n]: blurred frames have little."""
    values = np.zeros(len(video))
    with Progress(len(video)) as progress:
        for index, frame in read_frames(video):
            values[index] = sharpness_of(frame)
            progress.update(index + 1)
    return values


def sharpness_of(image: np.ndarray) -> float:
    """Variance of the Laplacian of a picture uint8 [H, W, 3], looked at in a moderate size."""
    scale = min(1.0, LOOKED_AT_PX / max(image.shape[:2]))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def choose_frames(times_sec: np.ndarray, sharpness: np.ndarray, count: int) -> list[int]:
    """The sharpest frame in the middle part of each of `count` equal spans of time; so gaps stay even.

    Args:
        times_sec: of all frames, rising, [n].
        sharpness: of all frames, [n].
        count: number of spans.

    Returns:
        Rising frame numbers, at most `count`: a span without a frame has none.
    """
    frame_sec = (times_sec[-1] - times_sec[0]) / max(len(times_sec) - 1, 1)
    span_sec = (times_sec[-1] - times_sec[0] + frame_sec) / count
    middles = times_sec[0] - frame_sec / 2 + span_sec * (np.arange(count) + 0.5)
    reach_sec, chosen = max(WINDOW_SHARE * span_sec, frame_sec) / 2, set()
    for middle in middles:
        near = np.flatnonzero(np.abs(times_sec - middle) <= reach_sec * (1 + 1e-9))
        if len(near):
            chosen.add(int(near[np.argmax(sharpness[near])]))
    return sorted(chosen)


def _gain(sharpness: np.ndarray, chosen: list[int]) -> str:
    mean = float(sharpness.mean())
    return f"{float(sharpness[chosen].mean()) / mean:.2f} times as sharp as the average" if mean > 0 else "all flat"
