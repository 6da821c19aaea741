"""A data set opened for training or rendering: cameras at their size, extent, pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from scene.cameras import Camera, camera_record
from scene.datasets import ReadOptions, read_scene
from scene.image_store import ImageStore
from scene.scene_info import CameraInfo, DatasetError, SceneInfo, ball_of
from utils.files import read_json, write_json
from utils.progress import say, warn

if TYPE_CHECKING:
    from arguments import ModelParams

SIZE_OF_TEACHER = 0
"""Value of `--resolution`: images as large as the teacher's maps."""
SIZES_FILE = "image_sizes.json"
EXTENT_MARGIN = 1.1
_SMALLEST_SPREAD = 1e-6
"""Camera spread, as a share of the distance to the points, below which the cameras count as one."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything about a data set that training and rendering use."""

    info: SceneInfo
    train: tuple[Camera, ...]
    test: tuple[Camera, ...]
    extent: float
    """Radius of the camera positions in world units: scales position learning rates and densification."""
    images: ImageStore

    @classmethod
    def open(cls, model: ModelParams, device: torch.device | str, info: SceneInfo | None = None) -> Scene:
        """Reads the data set of `--source_path`, unless it is given, and says what was found.

        With `-r 0` the images have the sizes that the training has left in the model folder.

        Raises:
            DatasetError: one line about what is wrong with the data set.
        """
        info = info or read_scene(model.source_path, read_options(model))
        info = with_mattes(info) if model.mask_mode == "matte" else info
        info = with_shared_test_views(info) if model.train_test_exp else info
        sizes = read_sizes(model.model_path) if model.resolution == SIZE_OF_TEACHER else None
        resolution = model.resolution if sizes is None else 1
        cameras = [
            Camera.from_info(camera, uid, resolution, model.ignore_principal_point)
            for uid, camera in enumerate((*info.train, *info.test))
        ]
        if sizes is not None:
            cameras = _resized(cameras, sizes)
        train, test = tuple(cameras[: len(info.train)]), tuple(cameras[len(info.train) :])
        images = ImageStore(cameras, device, model.data_device, flatten=flatten_mode(model, info))
        for note in info.warnings:
            warn(note)
        say(_found(info, cameras))
        scene = cls(info, train, test, scene_extent(info), images)
        say(images.describe())
        return scene

    def resized(self, sizes: Mapping[str, tuple[int, int]], data_device: str = "auto") -> Scene:
        """The same data set with its images at other sizes (width, height) px, by image name; says so."""
        self.images.close()
        train, test = (tuple(_resized(cameras, sizes)) for cameras in (self.train, self.test))
        images = ImageStore((*train, *test), self.images.device, data_device, flatten=self.images.flatten)
        say(f"images used at {train[0].width}x{train[0].height}; {images.describe()}")
        return replace(self, train=train, test=test, images=images)

    def write_sizes(self, model_path: Path) -> None:
        """Leave the sizes of the images in a model folder, for a later `open` with `-r 0`."""
        sizes = {camera.image_name: (camera.width, camera.height) for camera in (*self.train, *self.test)}
        write_json(model_path / SIZES_FILE, sizes)

    def camera_records(self) -> list[dict[str, object]]:
        """The content of `cameras.json`: test cameras first, then train (static 3DGS file layout)."""
        return [camera_record(camera, index) for index, camera in enumerate((*self.test, *self.train))]


def flatten_mode(model: ModelParams, info: SceneInfo) -> str:
    """How `--flatten_alpha` makes pictures opaque: those of COLMAP scenes lose their alpha, others get a background."""
    if not model.flatten_alpha:
        return ""
    if info.reader == "colmap":
        return "drop"
    return "white" if model.white_background else "black"


def read_sizes(model_path: str | Path) -> dict[str, tuple[int, int]]:
    """Sizes (width, height) px by image name, as `Scene.write_sizes` left them."""
    path = Path(model_path) / SIZES_FILE
    if not path.is_file():
        raise DatasetError(
            f"-r 0 is the size of the teacher's maps, which {path} should say; expected a model trained with it; "
            "give another -r"
        )
    data = read_json(path)
    valid = isinstance(data, dict) and all(
        isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)
        for size in data.values()
    )
    if not valid:
        raise DatasetError(f"{path}: expected a width and a height for every image name; train again")
    return {name: (size[0], size[1]) for name, size in data.items()}


def _resized(cameras: Sequence[Camera], sizes: Mapping[str, tuple[int, int]]) -> list[Camera]:
    absent = [camera.image_name for camera in cameras if camera.image_name not in sizes]
    if absent:
        raise DatasetError(f"{absent[0]}: no size known for it with -r 0; expected all images; give another -r")
    return [camera.resized(*sizes[camera.image_name]) for camera in cameras]


def read_options(model: ModelParams) -> ReadOptions:
    """The part of the flags that readers look at."""
    return ReadOptions(
        images=model.images,
        eval=model.eval,
        llffhold=model.llffhold,
        test_offset=model.test_offset,
        test_list=model.test_list,
        dnerf_test=model.dnerf_test,
        nerfies_split=model.nerfies_split,
        nerfies_ratio=model.nerfies_ratio,
        num_frames=model.num_frames,
        times_from_names=model.times_from_names,
        depths=model.depths,
    )


def with_mattes(info: SceneInfo) -> SceneInfo:
    """The data set with its masks as opacities of the pictures.

    Raises:
        DatasetError: there are no masks.
    """
    cameras = (*info.train, *info.test)
    bare = sum(camera.mask_path is None for camera in cameras)
    if bare == len(cameras):
        raise DatasetError(f"{info.root}: no masks; expected masks/<image name>.png with --mask_mode matte; add them")
    notes = info.warnings
    if bare:
        notes = (*notes, f"{bare} of {len(cameras)} images have no mask and count as opaque")
    train, test = (
        tuple(replace(camera, mask_path=None, matte_path=camera.mask_path) for camera in part)
        for part in (info.train, info.test)
    )
    return replace(info, train=train, test=test, warnings=notes)


def with_shared_test_views(info: SceneInfo) -> SceneInfo:
    """The protocol of --train_test_exp: test views train with their left half and are measured on their right half."""
    if not info.test:
        note = "--train_test_exp: no test views, so no picture is halved; expected --eval"
        return replace(info, warnings=(*info.warnings, note))
    known = (*info.train, *(replace(camera, half="left") for camera in info.test))
    test = tuple(replace(camera, half="right") for camera in info.test)
    return replace(info, train=tuple(sorted(known, key=lambda camera: camera.image_name)), test=test)


def camera_extent(cameras: Sequence[CameraInfo]) -> float:
    """1.1 times the largest distance of a camera centre from the mean centre, world units."""
    centers = np.stack([camera.center for camera in cameras])
    return EXTENT_MARGIN * float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())


def scene_extent(info: SceneInfo) -> float:
    """Extent of the training cameras; of the points, with a warning, if the cameras stand in one place.

    A moving scene takes the larger of both: one hand-held camera may hardly move, which would leave learning rates
    near zero.
    """
    extent = camera_extent(info.train)
    points = info.points.positions if info.points is not None else np.zeros((0, 3), np.float32)
    if info.points is None and info.random_box is not None:
        points = np.array(info.random_box)
    if len(points) == 0:
        if extent > 0:
            return extent
        warn(f"{info.root}: all cameras stand in one place and there are no points; scene extent set to 1")
        return 1.0
    _, radius = ball_of(points)
    if info.is_dynamic and info.points is not None and radius > 0:
        return max(extent, EXTENT_MARGIN * radius)
    if extent > _SMALLEST_SPREAD * radius and extent > 0:
        return extent
    fallback = EXTENT_MARGIN * radius or 1.0
    warn(f"{info.root}: all cameras stand in one place; scene extent {fallback:.3g} taken from the points")
    return fallback


def _found(info: SceneInfo, cameras: Sequence[Camera]) -> str:
    """One line: reader, counts, sizes, points."""
    sizes = Counter((camera.info.width, camera.info.height, camera.width, camera.height) for camera in cameras)
    (file_width, file_height, width, height), most = sizes.most_common(1)[0]
    size = f"{file_width}x{file_height}"
    if (width, height) != (file_width, file_height):
        size += f" used at {width}x{height}"
    if most < len(cameras):
        size += f" (mostly; {len(sizes)} sizes)"
    points = "no points" if info.points is None else f"{len(info.points)} points"
    counts = f"{len(info.train)} train + {len(info.test)} test images"
    reader = f"{info.reader}, {info.details}" if info.details else info.reader
    times = f"{info.num_times} times, " if info.is_dynamic else ""
    return f"scene: {info.root} ({reader}), {counts} {size}, {times}{points}"
