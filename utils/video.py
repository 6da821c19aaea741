"""Videos, frame by frame."""

from __future__ import annotations

import contextlib
import os
from types import TracebackType

import numpy as np

from utils.errors import UserError
from utils.files import atomic_path


class VideoWriter:
    """Write uint8 frames to an H.264 mp4; the file appears when the `with` block ends well.

    Args:
        path: mp4 file; missing folders are made.
        fps: frames per second.
    """

    def __init__(self, path: str | os.PathLike, fps: float = 30) -> None:
        self.path = path
        self.fps = fps
        self.num_frames = 0
        self._size: tuple[int, ...] | None = None
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> VideoWriter:
        imageio = _import_imageio()
        temp = self._resources.enter_context(atomic_path(self.path))
        self._file = self._resources.enter_context(imageio.imopen(temp, "w", plugin="pyav"))
        self._file.init_video_stream("libx264", fps=self.fps, pixel_format="yuv420p")
        return self

    def add(self, image: np.ndarray) -> None:
        """Append one frame, uint8 [H, W, 3]; odd sizes are padded by one repeated row or column (H.264 needs even)."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"video frame is {image.dtype} {image.shape}; expected uint8 [H, W, 3]")
        if self._size not in (None, image.shape):
            raise ValueError(f"video frame is {image.shape}, the first one was {self._size}; frames must have one size")
        self._size = image.shape
        height, width = image.shape[:2]
        self._file.write_frame(np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))
        self.num_frames += 1

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None and self.num_frames == 0:
            error = UserError(f"no frames for {self.path}; expected at least one; check the number of views")
            self._resources.__exit__(UserError, error, None)
            raise error
        self._resources.__exit__(kind, error, trace)


def _import_imageio():
    try:
        import av  # noqa: F401  imageio names only "pyav" when it is missing
        import imageio.v3 as imageio
    except ImportError:
        raise UserError("writing videos needs imageio and av, which are missing; run: pip install imageio av") from None
    return imageio
