"""The pictures of a rig as one video per camera, as a recording would come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.files import atomic_path

FPS = 30
QUALITY_CRF = "12"  # of H.264: 0 = lossless, 18 = hardly to be told from the source


def write_videos(folder: Path, grid: Sequence[Sequence[np.ndarray]]) -> None:
    """Write `cam_00.mp4`, `cam_01.mp4` ... with the same moments.

    Args:
        folder: where to.
        grid: [T][C] pictures uint8 [H, W, 3] of even sizes.
    """
    for index, frames in enumerate(zip(*grid, strict=True)):
        _write_video(folder / f"cam_{index:02d}.mp4", frames)


def _write_video(path: Path, frames: Sequence[np.ndarray]) -> None:
    try:
        import av
    except ImportError:
        raise UserError("writing videos needs av, which is missing; run: pip install av") from None
    height, width = frames[0].shape[:2]
    with atomic_path(path) as temp, av.open(str(temp), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=FPS, options={"crf": QUALITY_CRF})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        file.mux(stream.encode())
