"""The Nerfies family (Nerfies, HyperNeRF, NeRF-DS): `dataset.json`, `scene.json`, `metadata.json`, `camera/`, `rgb/`.

Files: README of google/nerfies, "Datasets".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scene.datasets import DATASETS, ReadOptions
from scene.datasets.arrays import checked_array, load_array
from scene.datasets.nerfies_camera import NerfiesCamera, read_camera, read_object
from scene.datasets.nerfies_split import choose_rule, split_ids
from scene.datasets.pictures import few, find_mask, image_size, with_extension
from scene.datasets.split import split_parts
from scene.scene_info import CameraInfo, DatasetError, PointCloud, SceneInfo

TIME_KEYS = ("time_id", "warp_id", "appearance_id")
"""Entries of `metadata.json` that count moments; the first that all frames have is taken."""
GREY = 0.5


@dataclass(frozen=True, eq=False)
class Normalisation:
    """From the coordinates of the files to those of the training: (x - center) * scale."""

    center: np.ndarray  # [3]
    scale: float

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Positions [..., 3] in world units."""
        return (positions - self.center) * self.scale


@DATASETS.register("nerfies", priority=16)
class NerfiesReader:
    """Real videos from one or two cameras, with the moment of every frame."""

    def missing(self, folder: Path) -> str | None:
        """See `DatasetReader`."""
        return None if (folder / "dataset.json").is_file() else "no dataset.json"

    def read(self, folder: Path, options: ReadOptions) -> SceneInfo:
        """Reads the frames that the split rule uses; those without picture are one note."""
        source = folder / "dataset.json"
        document = read_object(source)
        rule = choose_rule(folder, document, options.nerfies_split)
        train_ids, test_ids = split_ids(document, rule, source)
        ids = [*train_ids, *test_ids]
        moments = dict(zip(ids, read_moments(folder / "metadata.json", ids), strict=True))
        size, size_notes = picture_folder(folder / "rgb", options.nerfies_ratio or rule.ratio)
        pictures, notes = _pictures(size, ids)
        cameras = {frame: read_camera(folder / "camera" / f"{frame}.json") for frame in pictures}
        to_world = read_normalisation(folder / "scene.json")
        infos = {
            frame: _camera_info(folder, cameras[frame], path, moments[frame], to_world)
            for frame, path in pictures.items()
        }
        train, test = (tuple(infos[frame] for frame in part if frame in infos) for part in (train_ids, test_ids))
        train, test = split_parts(train, test, options)
        points, point_notes = read_points(folder / "points.npy", to_world)
        notes = [*size_notes, *notes, *point_notes, *_skew_notes(folder, cameras)]
        if options.eval and not test:
            notes.append(f"{folder}: split {rule.words}; choose another --nerfies_split to have test views")
        details = f"split {rule.words}; rgb/{size.name}"
        return SceneInfo(train, test, points, folder, "nerfies", tuple(notes), details=details)


def read_moments(source: Path, ids: Sequence[str]) -> list[float]:
    """Time in 0..1 of each frame: its time id divided by the largest among these frames.

    Args:
        source: `metadata.json`.
        ids: frames that are used.
    """
    table = read_object(source)
    entries = [table.get(frame) for frame in ids]
    unknown = [frame for frame, entry in zip(ids, entries, strict=True) if not isinstance(entry, Mapping)]
    if unknown:
        raise DatasetError(f"{source}: has no entry for {len(unknown)} of {len(ids)} frames ({few(unknown)}); add them")
    key = next((key for key in TIME_KEYS if all(key in entry for entry in entries)), None)
    if key is None:
        raise DatasetError(f"{source}: not all frames have a {' or a '.join(TIME_KEYS)}; expected one of them, add it")
    numbers = checked_array([entry[key] for entry in entries], (None,), f"{source}: {key}")
    if numbers.min(initial=0) < 0:
        raise DatasetError(f"{source}: the smallest {key} is {numbers.min():g}; expected 0 or more, correct it")
    return (numbers / (numbers.max(initial=0) or 1.0)).tolist()


def read_normalisation(source: Path) -> Normalisation:
    """Centre and scale of `scene.json`."""
    document = read_object(source)
    center = checked_array(document.get("center"), (3,), f"{source}: center")
    scale = float(checked_array(document.get("scale"), (), f"{source}: scale"))
    if scale <= 0:
        raise DatasetError(f"{source}: scale is {scale:g}; expected a positive number, correct it")
    return Normalisation(center, scale)


def picture_folder(rgb: Path, ratio: float) -> tuple[Path, list[str]]:
    """The folder of the pictures of a size, `2x` for a ratio of 0.5, or the nearest that exists, with a note."""
    if not 0 < ratio <= 1:
        raise DatasetError(f"--nerfies_ratio is {ratio:g}; expected 0 (by rule) or up to 1; 0.5 is the folder rgb/2x")
    wanted = round(1 / ratio)
    sizes = rgb.glob("*x") if rgb.is_dir() else ()
    divisors = sorted(int(path.name[:-1]) for path in sizes if path.name[:-1].isdecimal() and path.name != "0x")
    if not divisors:
        raise DatasetError(f"{rgb}: has no folders 1x, 2x, 4x ...; expected pictures in one of them, copy them again")
    nearest = min(divisors, key=lambda divisor: abs(math.log(divisor / wanted)))
    notes = [] if nearest == wanted else [f"{rgb}: has no {wanted}x, using {nearest}x"]
    return rgb / f"{nearest}x", notes


def read_points(source: Path, to_world: Normalisation) -> tuple[PointCloud | None, list[str]]:
    """The background points of the reconstruction, grey as the format has no colours, and notes."""
    positions = checked_array(load_array(source), (None, 3), str(source)) if source.is_file() else np.zeros((0, 3))
    if len(positions) == 0:
        return None, [f"{source}: no points; starting at random ones, which is often worse"]
    return PointCloud(to_world(positions).astype(np.float32), np.full(positions.shape, GREY, np.float32)), []


def _pictures(folder: Path, ids: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Picture of each frame that has one, and a note about the others."""
    paths = {frame: with_extension(folder / f"{frame}.png") or with_extension(folder / frame) for frame in ids}
    absent = [frame for frame, path in paths.items() if path is None]
    if len(absent) == len(ids):
        raise DatasetError(f"{folder}: none of the {len(ids)} frames has a picture ({few(ids)}); put them there")
    notes = [f"{folder}: skipped {len(absent)} of {len(ids)} frames without picture ({few(absent)})"] if absent else []
    return {frame: path for frame, path in paths.items() if path is not None}, notes


def _camera_info(folder: Path, camera: NerfiesCamera, path: Path, time: float, to_world: Normalisation) -> CameraInfo:
    """The camera at the size of its picture, in the coordinates of the training."""
    width, height = image_size(path)
    scale_x, scale_y = width / camera.width, height / camera.height
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = camera.rotation
    world_to_camera[:3, 3] = -camera.rotation @ to_world(camera.position)
    return CameraInfo(
        image_name=path.name,
        image_path=path,
        world_to_camera=world_to_camera,
        fx=camera.fx * scale_x,
        fy=camera.fy * scale_y,
        cx=camera.cx * scale_x,
        cy=camera.cy * scale_y,
        width=width,
        height=height,
        time=time,
        mask_path=find_mask(folder, path.name),
        distortion=camera.distortion,
    )


def _skew_notes(folder: Path, cameras: Mapping[str, NerfiesCamera]) -> list[str]:
    skewed = [frame for frame, camera in cameras.items() if camera.skew]
    return [f"{folder}: the skew of {len(skewed)} cameras is ignored ({few(skewed)})"] if skewed else []
