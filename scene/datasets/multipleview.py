"""4DGaussians' `multipleview` layout: a folder of frames for each fixed camera, their COLMAP model in `sparse_/`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from scene.datasets import DATASETS, ReadOptions
from scene.datasets.colmap import _camera_info, _read_points
from scene.datasets.colmap_model import ColmapImage, read_cameras, read_images
from scene.datasets.neu3d import find_frames, length_notes
from scene.datasets.pictures import few, find_mask, image_size, natural_key
from scene.datasets.points import find_points
from scene.datasets.split import split_parts
from scene.formats.ply import read_points
from scene.scene_info import CameraInfo, DatasetError, PointCloud, SceneInfo

MODEL_FOLDER = "sparse_"
CLOUD_FILE = "points3D_multipleview.ply"
MOTION = "per_timestep"


@DATASETS.register("multipleview", priority=15)
class MultipleViewReader:
    """Synchronised pictures of fixed cameras, each of them one image of the COLMAP model."""

    def missing(self, folder: Path) -> str | None:
        """See `DatasetReader`."""
        found = any((folder / MODEL_FOLDER / f"images.{end}").is_file() for end in ("bin", "txt"))
        return None if found else f"no images.bin or images.txt in {MODEL_FOLDER}/"

    def read(self, folder: Path, options: ReadOptions) -> SceneInfo:
        """Reads all frames of all cameras; frame i of n is at time i / (n - 1)."""
        model, videos = folder / MODEL_FOLDER, find_frames(folder, options.num_frames)
        images, lenses = match_images(read_images(model), list(videos), model), read_cameras(model)
        last = max(max(map(len, videos.values())) - 1, 1)
        parts = []
        for index, (name, pictures) in enumerate(videos.items()):
            if name in images:
                first = replace(_camera_info(folder, images[name], lenses, pictures[0]), camera_id=index)
                parts.append(_frames(folder, first, pictures, last))
        train, test = _split(parts, options)
        points, notes = _points(folder)
        lost = [name for name in videos if name not in images]
        if lost:
            notes.append(f"{model}: has no pose for {few(lost)}; used without")
        notes += length_notes(folder, videos)
        details = f"{len(parts)} cameras"
        return SceneInfo(train, test, points, folder, "multipleview", tuple(notes), motion=MOTION, details=details)


def match_images(images: Sequence[ColmapImage], cameras: Sequence[str], model: Path) -> dict[str, ColmapImage]:
    """Folder name -> its image of the model.

    Images are named after the folders (`cam03.jpg`, `cam03/frame_00001.jpg`), or by their number (`image3.jpg` is the
    third folder), or there are as many as folders and both are in order.

    Raises:
        DatasetError: none of that holds.
    """
    stems: dict[str, ColmapImage] = {}
    for image in images:
        path = PurePosixPath(image.name.replace("\\", "/"))
        stems.setdefault(next((part for part in path.parts if part in cameras), path.stem), image)
    if stems and set(stems) <= set(cameras):
        return stems
    ends = {stem: re.search(r"[0-9]+$", stem) for stem in stems}
    numbers = {int(end[0]): stems[stem] for stem, end in ends.items() if end}
    if stems and len(numbers) == len(stems) and set(numbers) <= set(range(1, len(cameras) + 1)):
        return {cameras[number - 1]: image for number, image in numbers.items()}
    if len(stems) == len(cameras):
        return dict(zip(cameras, (stems[stem] for stem in sorted(stems, key=natural_key)), strict=True))
    raise DatasetError(
        f"{model}: has {len(stems)} images ({few(list(stems))}) for {len(cameras)} folders of frames "
        f"({few(list(cameras))}); expected one image for each, named after the folder or image1, image2, ..."
    )


def _frames(folder: Path, first: CameraInfo, pictures: Sequence[Path], last: int) -> tuple[CameraInfo, ...]:
    """One record per picture of a fixed camera; picture `last` is at time 1."""
    frames = []
    for index, path in enumerate(pictures):
        size = image_size(path)
        if size != (first.width, first.height):
            raise DatasetError(
                f"{path}: is {size[0]}x{size[1]}; expected {first.width}x{first.height} as {pictures[0].name}; "
                "take the video apart again"
            )
        name = path.relative_to(folder).as_posix()
        mask = find_mask(folder, name)
        frames.append(replace(first, image_name=name, image_path=path, time=index / last, mask_path=mask))
    return tuple(frames)


def _split(parts: Sequence[tuple[CameraInfo, ...]], options: ReadOptions):
    """Train and test frames; with `eval` every `llffhold`-th camera from `test_offset` on is held out."""
    if options.eval and not 0 <= options.test_offset < options.llffhold:
        raise DatasetError(
            f"--llffhold is {options.llffhold}, --test_offset {options.test_offset}; expected to hold out every n-th "
            "camera, n from 1, counted from an offset below n; change them"
        )
    held_out = range(options.test_offset, len(parts), options.llffhold) if options.eval else ()
    train = tuple(camera for index, part in enumerate(parts) if index not in held_out for camera in part)
    test = tuple(camera for index in held_out for camera in parts[index])
    return split_parts(train, test, options)


def _points(folder: Path) -> tuple[PointCloud | None, list[str]]:
    """The dense cloud, else one that was put there, else the triangulated points; and notes."""
    dense = folder / CLOUD_FILE
    cloud = read_points(dense) if dense.is_file() else find_points(folder)
    if cloud is not None and len(cloud) > 0:
        return cloud, []
    return _read_points(folder / MODEL_FOLDER)
