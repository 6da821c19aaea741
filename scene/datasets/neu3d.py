"""Neural 3D Video (Neu3D, Plenoptic Video): fixed cameras in `poses_bounds.npy`, a folder of frames for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from scene.datasets import DATASETS, ReadOptions
from scene.datasets.arrays import checked_array, load_array
from scene.datasets.pictures import few, find_mask, image_size, natural_key, pictures_in
from scene.datasets.points import find_points
from scene.datasets.poses import world_to_camera_from_opengl
from scene.datasets.split import split_parts
from scene.scene_info import CameraInfo, DatasetError, SceneInfo

FILE_NAME = "poses_bounds.npy"
_VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".avi", ".webm")


@DATASETS.register("neu3d", priority=14)
class Neu3dReader:
    """Synchronised videos, taken apart into pictures; the first camera is the test view."""

    def missing(self, folder: Path) -> str | None:
        """See `DatasetReader`."""
        return None if (folder / FILE_NAME).is_file() else f"no {FILE_NAME}"

    def read(self, folder: Path, options: ReadOptions) -> SceneInfo:
        """Reads all frames of all cameras; frame i of n is at time i / (n - 1)."""
        rows = checked_array(load_array(folder / FILE_NAME), (None, 17), str(folder / FILE_NAME))
        videos = find_frames(folder, options.num_frames)
        if len(videos) != len(rows):
            raise DatasetError(
                f"{folder}: {FILE_NAME} has {len(rows)} cameras, but there are {len(videos)} folders of frames "
                f"({few(list(videos))}); expected one for each camera, in the same order"
            )
        count = max(map(len, videos.values()))
        parts = [
            tuple(replace(camera, camera_id=index) for camera in _cameras(folder, name, pictures, row, count))
            for index, ((name, pictures), row) in enumerate(zip(videos.items(), rows, strict=True))
        ]
        others = tuple(camera for part in parts[1:] for camera in part)
        train, test = split_parts(others, parts[0], options)
        points, notes = find_points(folder), length_notes(folder, videos)
        if points is None:
            notes.append(
                f"{folder}: has no points3D.ply; starting at random points, which often fails for real scenes: "
                "put a cloud in the coordinates of the cameras there"
            )
        details = f"{len(videos)} cameras"
        return SceneInfo(train, test, points, folder, "neu3d", tuple(notes), details=details)


def find_frames(folder: Path, num_frames: int) -> dict[str, list[Path]]:
    """Pictures in order of each camera, cameras in order of their names.

    Args:
        folder: holds `frames/<camera>/*`, `<camera>/*` or `<camera>/images/*`, with names that start with `cam`.
        num_frames: take the first so many; 0 = all.
    """
    if num_frames < 0:
        raise DatasetError(f"--num_frames is {num_frames}; expected 0 (all) or more; change it")
    base = folder / "frames" if (folder / "frames").is_dir() else folder
    prefix = "" if base != folder else "cam"
    names = [path.name for path in base.iterdir() if path.is_dir() and path.name.startswith(prefix)]
    found = {name: pictures_in(base / name) or pictures_in(base / name / "images") for name in names}
    empty = sorted(name for name, pictures in found.items() if not pictures)
    if not found or empty:
        raise DatasetError(_no_frames(folder, base, empty))
    return {name: found[name][: num_frames or None] for name in sorted(found, key=natural_key)}


def _no_frames(folder: Path, base: Path, empty: list[str]) -> str:
    """What is wrong when cameras have no pictures."""
    videos = sorted((path.name for path in folder.iterdir() if path.suffix.lower() in _VIDEO_ENDINGS), key=natural_key)
    if videos:
        stem = Path(videos[0]).stem
        return (
            f"{folder}: holds videos ({few(videos)}); expected a folder of pictures for each; take each apart: "
            f"mkdir -p frames/{stem}; ffmpeg -i {videos[0]} frames/{stem}/%05d.png"
        )
    seen = f"no pictures in {few(empty)}" if empty else "no folder of frames"
    return f"{base}: {seen}; expected frames/<camera>/00001.png ... or cam00/00001.png ..., take the videos apart"


def pose_and_size(row: np.ndarray, source: str) -> tuple[np.ndarray, float, float, float]:
    """(world_to_camera [4, 4], height, width, focal length in px) of a row of `poses_bounds.npy`.

    Its axes are LLFF's: down, right, backwards (Mildenhall et al. 2019, README "Using your own poses").
    """
    matrix = row[:15].reshape(3, 5)
    down, right, back, position, (height, width, focal) = matrix.T
    if min(height, width, focal) <= 0:
        raise DatasetError(f"{source}: size {width:g}x{height:g}, focal length {focal:g}; expected positive numbers")
    opengl = np.stack((right, -down, back, position), axis=1)
    return world_to_camera_from_opengl(opengl, source), height, width, focal


def _cameras(folder: Path, name: str, pictures: list[Path], row: np.ndarray, count: int) -> tuple[CameraInfo, ...]:
    """One record per frame of a fixed camera, at the size of its pictures."""
    pose, height, width, focal = pose_and_size(row, f"{folder / FILE_NAME} ({name})")
    cameras = []
    for index, path in enumerate(pictures):
        actual_width, actual_height = image_size(path)
        image_name = f"{name}/{path.name}"
        cameras.append(
            CameraInfo(
                image_name=image_name,
                image_path=path,
                world_to_camera=pose,
                fx=focal * actual_width / width,
                fy=focal * actual_height / height,
                cx=actual_width / 2,
                cy=actual_height / 2,
                width=actual_width,
                height=actual_height,
                time=index / max(count - 1, 1),
                mask_path=find_mask(folder, image_name),
            )
        )
    return tuple(cameras)


def length_notes(folder: Path, videos: dict[str, list[Path]]) -> list[str]:
    """One line if some cameras have fewer pictures than others."""
    count = max(map(len, videos.values()))
    short = [name for name, pictures in videos.items() if len(pictures) < count]
    if not short:
        return []
    lengths = Counter(len(videos[name]) for name in short)
    words = ", ".join(f"{many} with {length}" for length, many in sorted(lengths.items()))
    return [f"{folder}: cameras have {count} frames, but {few(short)} fewer ({words}); all are used"]
