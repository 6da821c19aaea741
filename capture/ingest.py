"""Recordings of a rig: which there are, when their frames were taken, and the frames themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scene.datasets.pictures import few, image_size, natural_key, pictures_in
from utils.errors import UserError
from utils.image_io import read_image

VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".avi")
UNEVEN = 0.25  # largest deviation of a frame interval from the usual one, as a share of it, of a constant rate


@dataclass(frozen=True, eq=False)
class Recording:
    """One camera's frames."""

    name: str
    path: Path
    times_sec: np.ndarray  # [n] float64, rising, the first is 0
    size: tuple[int, int]
    """Width and height in px, upright."""
    pictures: tuple[Path, ...] = ()
    """Of a folder of pictures; a video has none."""

    def __len__(self) -> int:
        return len(self.times_sec)

    @property
    def fps(self) -> float:
        """Usual rate in frames per second."""
        return 1.0 / float(np.median(np.diff(self.times_sec)))

    @property
    def is_even(self) -> bool:
        """Whether the frame rate is constant."""
        return bool(np.abs(np.diff(self.times_sec) * self.fps - 1).max() <= UNEVEN)


def find_recordings(folder: Path, fps: float) -> list[Recording]:
    """All recordings of a folder, in natural order of their names.

    Args:
        fps: rate of folders of pictures.

    Raises:
        UserError: fewer than two, both kinds mixed, or one cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected videos or folders of pictures; check -s")
    if fps <= 0:
        raise UserError(f"--fps is {fps:g}; expected a positive number; change it")
    entries = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: natural_key(p.name))
    videos = [path for path in entries if path.suffix.lower() in VIDEO_ENDINGS and path.is_file()]
    folders = [path for path in entries if path.is_dir() and pictures_in(path)]
    if videos and folders:
        mixed = f"videos ({videos[0].name} ...) and folders of pictures ({folders[0].name} ...)"
        raise UserError(f"{folder}: holds {mixed}; expected one kind; move the others away")
    recordings = [open_video(path) for path in videos] or [_picture_folder(path, fps) for path in folders]
    if len(recordings) < 2:
        ends = ", ".join(VIDEO_ENDINGS)
        raise UserError(f"{folder}: {len(recordings)} recordings; expected two or more videos ({ends}) or folders")
    names = [recording.name for recording in recordings]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{folder}: several recordings are named {few(twice)}; expected one a camera; rename them")
    return recordings


def read_frames(recording: Recording, wanted: Collection[int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """(number, uint8 [H, W, 3]) of the wanted frames in order, each once; None = all."""
    chosen = set(range(len(recording)) if wanted is None else map(int, wanted))
    last = max(chosen, default=-1)
    if recording.pictures:
        for index in sorted(chosen):
            yield index, _checked(recording, read_image(recording.pictures[index])[..., :3], index)
        return
    found = 0
    for index, frame in enumerate(_decoded(recording.path)):
        if index in chosen:
            found += 1
            yield index, _checked(recording, _upright(frame), index)
        if index >= last:
            break
    if found < len(chosen):
        raise UserError(f"{recording.path}: only {found} of {len(chosen)} frames can be read; convert the video again")


def import_av():
    """PyAV, or one line that says how to get it."""
    try:
        import av
    except ImportError:
        raise UserError("reading videos needs av, which is missing; run: pip install av") from None
    return av


def _picture_folder(path: Path, fps: float) -> Recording:
    pictures = pictures_in(path)
    if len(pictures) < 2:
        raise UserError(f"{path}: one picture; expected a sequence; add the others or remove the folder")
    return Recording(path.name, path, np.arange(len(pictures)) / fps, image_size(pictures[0]), tuple(pictures))


def open_video(path: Path) -> Recording:
    """A video file: times from the packets, which is quick; the size from the first frame."""
    av = import_av()
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            times = [float(p.pts * stream.time_base) for p in container.demux(stream) if p.pts is not None]
        height, width = _upright(next(_decoded(path))).shape[:2]
    except (av.error.FFmpegError, IndexError, StopIteration) as error:
        raise UserError(f"{path}: not a readable video ({error}); expected frames; replace or remove it") from None
    seconds = np.unique(times)
    if len(seconds) < 2:
        raise UserError(f"{path}: {len(seconds)} frames; expected a video; replace or remove it")
    return Recording(path.stem, path, seconds - seconds[0], (width, height))


def _decoded(path: Path) -> Iterator:
    av = import_av()
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        yield from container.decode(video=0)


def _upright(frame) -> np.ndarray:
    """uint8 [H, W, 3], turned as the video's rotation flag says."""
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))


def _checked(recording: Recording, image: np.ndarray, index: int) -> np.ndarray:
    height, width = image.shape[:2]
    if (width, height) != recording.size:
        seen, expected = f"{width}x{height}", f"{recording.size[0]}x{recording.size[1]}"
        raise UserError(f"{recording.path}: frame {index} is {seen} px; expected {expected} as the first; convert it")
    return image
