"""What a dataset reader returns: plain NumPy records, no torch and no pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from utils.errors import UserError

REACH_PERCENTILE = 90  # of the distances of points from their middle


class DatasetError(UserError):
    """A data set that cannot be read: the message says what was seen, what was expected and what to do."""


@dataclass(frozen=True)
class DepthMap:
    """A picture of inverse depths that one photograph may be held to: value / `divisor` * `scale` + `offset`."""

    path: Path
    divisor: float
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, eq=False)
class CameraInfo:
    """One photograph and where it was taken from.

    The intrinsics are in pixels of the image file, with pixel centres at +0.5 (as COLMAP has it).
    """

    image_name: str
    """Relative name with extension, unique in the scene, `/` between folders."""
    image_path: Path
    world_to_camera: np.ndarray  # [4, 4] float64, OpenCV axes (x right, y down, z forward), column vectors
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    time: float = 0.0
    """Moment of the picture, 0..1."""
    mask_path: Path | None = None
    """Picture whose zero pixels are ignored in training."""
    distortion: tuple[float, ...] = ()
    """OpenCV order: k1 k2 p1 p2 [k3 k4 k5 k6], or k1 k2 k3 k4 of the fisheye model; () = pinhole."""
    fisheye: bool = False
    foreground_path: Path | None = None
    """Picture of what may move: 0 = background, 1 or 255 = foreground, between = share."""
    camera_id: int = -1
    """Of a rig: the physical camera, the same at all moments; -1 = not known."""
    depth: DepthMap | None = None
    """Inverse depths 1/z in world units; None = not known, or not to be relied on."""
    matte_path: Path | None = None
    """Picture of the opacity of the photograph, on top of its own."""
    half: Literal["both", "left", "right"] = "both"
    """The part of the picture that counts; of an odd width the right half is the larger one."""

    def counted_columns(self, width: int) -> slice:
        """The columns that count, of a picture `width` px wide."""
        return {"both": slice(None), "left": slice(0, width // 2), "right": slice(width // 2, None)}[self.half]

    @property
    def center(self) -> np.ndarray:
        """Camera centre in world units, [3]."""
        rotation, translation = self.world_to_camera[:3, :3], self.world_to_camera[:3, 3]
        return -rotation.T @ translation


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points the training starts from."""

    positions: np.ndarray  # [P, 3] float32, world units
    colors: np.ndarray  # [P, 3] float32, 0..1
    foreground: np.ndarray | None = None  # [P] float32, 1 = belongs to what may move, 0 = background; None = not known

    def __len__(self) -> int:
        return len(self.positions)


def ball_of(positions: np.ndarray) -> tuple[np.ndarray, float]:
    """Median [3] of points [P, 3] and the distance from it that most of them keep, without the stray ones."""
    middle = np.median(positions, axis=0)
    return middle, float(np.percentile(np.linalg.norm(positions - middle, axis=1), REACH_PERCENTILE))


@dataclass(frozen=True, eq=False)
class SceneInfo:
    """A data set as read from disk."""

    train: tuple[CameraInfo, ...]
    test: tuple[CameraInfo, ...]
    points: PointCloud | None
    root: Path
    reader: str
    """Name of the reader that understood the folder."""
    warnings: tuple[str, ...] = ()
    random_box: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    """(low, high) corners for random initialisation where the format prescribes them; None = from the cameras."""
    motion: str = ""
    """Kind of motion that suits the format; empty = by whether something moves."""
    details: str = ""
    """What the reader decided by itself, in a few words, e.g. the rule that chose the test views."""

    @property
    def num_times(self) -> int:
        """Number of different moments."""
        return len({camera.time for camera in (*self.train, *self.test)})

    @property
    def is_dynamic(self) -> bool:
        """Whether the pictures were taken at different moments."""
        return self.num_times > 1
