"""COLMAP reconstructions: `images/` and `sparse/0/{cameras,images,points3D}.{bin,txt}`; `times.json` if things move."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scene.datasets import DATASETS, ReadOptions
from scene.datasets.colmap_model import (
    ColmapCamera,
    ColmapImage,
    count_images,
    read_cameras,
    read_images,
    read_points3d,
)
from scene.datasets.depths import PARAMS_FILE, read_alignments, with_aligned_depths
from scene.datasets.pictures import few, find_mask, image_size
from scene.datasets.poses import checked_pose, rotation_from_quaternion
from scene.datasets.split import split_cameras
from scene.datasets.times import FILE_NAME as TIMES_FILE
from scene.datasets.times import numbers_from_names, read_times, with_times
from scene.formats.ply import read_points
from scene.scene_info import CameraInfo, DatasetError, PointCloud, SceneInfo

_ASPECT_TOLERANCE = 0.02


@DATASETS.register("colmap", priority=30)
class ColmapReader:
    """A reconstruction by COLMAP or a tool that writes its format."""

    def missing(self, folder: Path) -> str | None:
        """See `DatasetReader`."""
        if model_folders(folder):
            return None
        if (folder / "sparse").is_dir():
            return "no images.bin or images.txt in sparse/ or sparse/0/"
        return "no folder sparse/ (only photos? run python convert.py -s on them)"

    def read(self, folder: Path, options: ReadOptions) -> SceneInfo:
        """Reads the largest model of the folder."""
        model, notes = choose_model(folder)
        images, cameras = read_images(model), read_cameras(model)
        if not images:
            raise DatasetError(f"{model}: has no images; the reconstruction failed, run COLMAP again")
        paths = image_paths(folder, options.images, images)
        infos = [_camera_info(folder, image, cameras, path) for image, path in zip(images, paths, strict=True)]
        infos, time_notes, clock = _timed(folder, infos, options)
        notes += [*_size_notes(images, cameras, infos), *time_notes]
        if options.depths:
            alignments = read_alignments(model / PARAMS_FILE)
            infos, depth_notes = with_aligned_depths(infos, folder / options.depths, alignments)
            notes += depth_notes
        train, test = split_cameras(infos, options, model / "test.txt")
        points, point_notes = _read_points(model)
        return SceneInfo(train, test, points, folder, "colmap", tuple(notes + point_notes), details=clock)


def model_folders(folder: Path) -> list[Path]:
    """Folders that hold a model, `sparse/0` first."""
    sparse = folder / "sparse"
    if not sparse.is_dir():
        return []
    candidates = [*sorted(path for path in sparse.iterdir() if path.is_dir()), sparse]
    return [path for path in candidates if any((path / f"images.{end}").is_file() for end in ("bin", "txt"))]


def choose_model(folder: Path) -> tuple[Path, list[str]]:
    """The model with the most images, and a note if there was a choice."""
    models = model_folders(folder)
    if len(models) == 1:
        return models[0], []
    counts = [count_images(model) for model in models]
    best = int(np.argmax(counts))
    found = ", ".join(f"{model.relative_to(folder)} ({n} images)" for model, n in zip(models, counts, strict=True))
    return models[best], [f"{folder} has several models: {found}; using {models[best].relative_to(folder)}"]


def image_paths(folder: Path, images_name: str, images: list[ColmapImage]) -> list[Path]:
    """Path of each image file; missing ones are an error that names the first few."""
    base = folder / (images_name or "images")
    if not base.is_dir():
        raise DatasetError(f"{base}: no such folder; expected the images of the COLMAP model, give the name with -i")
    paths = [base / _portable(image.name) for image in images]
    absent = sorted(image.name for image, path in zip(images, paths, strict=True) if not path.is_file())
    if absent:
        raise DatasetError(
            f"{base}: {len(absent)} of {len(images)} images of the COLMAP model are missing ({few(absent)}); "
            "put them back, or give another folder with -i"
        )
    return paths


def _portable(name: str) -> str:
    """Image name with `/` between folders, also from a reconstruction made on Windows."""
    return name.replace("\\", "/")


def _camera_info(folder: Path, image: ColmapImage, cameras: dict[int, ColmapCamera], path: Path) -> CameraInfo:
    """The camera of one image, with intrinsics for the size of the file at hand."""
    camera = cameras.get(image.camera_id)
    if camera is None:
        raise DatasetError(f"{folder}: image {image.name} has camera {image.camera_id}, which cameras.bin/.txt lacks")
    fx, fy, cx, cy, distortion, fisheye = intrinsics(folder, camera)
    width, height = image_size(path)
    scale_x, scale_y = width / camera.width, height / camera.height
    name = _portable(image.name)
    return CameraInfo(
        image_name=name,
        image_path=path,
        world_to_camera=_pose(image),
        fx=fx * scale_x,
        fy=fy * scale_y,
        cx=cx * scale_x,
        cy=cy * scale_y,
        width=width,
        height=height,
        mask_path=find_mask(folder, name),
        distortion=distortion,
        fisheye=fisheye,
    )


def _timed(
    folder: Path, infos: Sequence[CameraInfo], options: ReadOptions
) -> tuple[Sequence[CameraInfo], list[str], str]:
    """The cameras with their times, notes, and in words where the times come from ("" = nothing moves)."""
    names, source = [info.image_name for info in infos], folder / TIMES_FILE
    if source.is_file():
        numbers, notes = read_times(source, names)
        return with_times(infos, numbers), notes, f"times from {TIMES_FILE}"
    if options.times_from_names:
        return with_times(infos, numbers_from_names(names)), [], "times from the image names"
    return infos, [], ""


def _pose(image: ColmapImage) -> np.ndarray:
    matrix = np.eye(4)
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix[:3, :3] = rotation_from_quaternion(image.quaternion_wxyz)
    matrix[:3, 3] = image.translation
    return checked_pose(matrix, image.name)


def intrinsics(folder: Path, camera: ColmapCamera) -> tuple[float, float, float, float, tuple[float, ...], bool]:
    """(fx, fy, cx, cy, distortion in OpenCV order, fisheye) of a camera at COLMAP's size."""
    values = camera.params
    if not np.isfinite(values).all() or min(camera.width, camera.height, *values[:1]) <= 0:
        raise DatasetError(
            f"{folder}: a camera is {camera.width}x{camera.height} with parameters {values}; "
            "expected positive finite numbers, reconstruct again"
        )
    if camera.model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"):
        focal, cx, cy, *radial = values
        return focal, focal, cx, cy, (*radial, 0.0, 0.0, 0.0)[:4] if any(radial) else (), False
    if camera.model in ("PINHOLE", "OPENCV", "FULL_OPENCV", "OPENCV_FISHEYE"):
        fx, fy, cx, cy, *rest = values
        fisheye = camera.model == "OPENCV_FISHEYE"
        return fx, fy, cx, cy, tuple(rest) if any(rest) or fisheye else (), fisheye
    raise DatasetError(
        f"{folder}: camera model {camera.model} cannot be used directly; expected a pinhole or OpenCV model, "
        "undistort: photos into input/, the model into distorted/sparse/0/, then run python convert.py --skip_matching"
    )


def _size_notes(images: list[ColmapImage], cameras: dict[int, ColmapCamera], infos: Sequence[CameraInfo]) -> list[str]:
    """Warns when the files have another shape than COLMAP's pictures (rotated or cropped)."""
    odd = []
    for image, info in zip(images, infos, strict=True):
        camera = cameras[image.camera_id]
        if abs(info.width * camera.height / (info.height * camera.width) - 1) > _ASPECT_TOLERANCE:
            odd.append(image.name)
    if not odd:
        return []
    return [f"{len(odd)} images have another aspect ratio than in COLMAP ({few(odd)}); were they rotated or cropped?"]


def _read_points(model: Path) -> tuple[PointCloud | None, list[str]]:
    """The points as float32, without those that are not finite."""
    raw = read_points3d(model)
    if raw is None:
        path = model / "points3D.ply"
        return (read_points(path), []) if path.is_file() else (None, [f"{model} has no points3D; starting at random"])
    finite = np.isfinite(raw.positions).all(axis=1)
    notes = [] if finite.all() else [f"{model}: dropped {int((~finite).sum())} points that are not finite"]
    if not finite.any():
        return None, [*notes, f"{model} has no points; starting at random"]
    colors = raw.colors[finite].astype(np.float32) / 255
    return PointCloud(raw.positions[finite].astype(np.float32), colors), notes
