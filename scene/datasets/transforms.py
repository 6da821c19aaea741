"""One `transforms.json` for all images, as instant-ngp and nerfstudio write it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from scene.datasets import DATASETS, ReadOptions
from scene.datasets.nerf_frames import load_document, read_frames, with_common_time
from scene.datasets.split import split_cameras
from scene.formats.ply import read_points
from scene.scene_info import CameraInfo, DatasetError, PointCloud, SceneInfo

FILE_NAME = "transforms.json"


@DATASETS.register("transforms", priority=10)
class TransformsReader:
    """Real photos with poses and intrinsics in one file; test views are every `llffhold`-th by name."""

    def missing(self, folder: Path) -> str | None:
        """See `DatasetReader`."""
        return None if (folder / FILE_NAME).is_file() else f"no {FILE_NAME}"

    def read(self, folder: Path, options: ReadOptions) -> SceneInfo:
        """Reads the frames whose image exists; the others are one note."""
        source = folder / FILE_NAME
        frames = read_frames(source)
        (cameras,), time_notes = with_common_time([frames], source)
        cameras = _without_common_folder(cameras)
        train, test = split_cameras(cameras, options)
        points, notes = _read_points(folder, source)
        notes = [*frames.notes(source), *time_notes, *notes]
        return SceneInfo(train, test, points, folder, "transforms", tuple(notes))


def _without_common_folder(cameras: tuple[CameraInfo, ...]) -> tuple[CameraInfo, ...]:
    """Names below the folder that all images share: `images/0001.jpg` becomes `0001.jpg`, as in COLMAP scenes."""
    parents = [PurePosixPath(camera.image_name).parts[:-1] for camera in cameras]
    shared = 0
    while all(len(parts) > shared and parts[shared] == parents[0][shared] for parts in parents):
        shared += 1
    return tuple(
        replace(camera, image_name="/".join(PurePosixPath(camera.image_name).parts[shared:])) for camera in cameras
    )


def _read_points(folder: Path, source: Path) -> tuple[PointCloud | None, list[str]]:
    """The cloud that `ply_file_path` names, if any."""
    name = load_document(source).get("ply_file_path")
    if not name:
        return None, []
    path = folder / str(name)
    if not path.is_file():
        raise DatasetError(f"{source}: ply_file_path {name} does not exist; put it there or remove the entry")
    return read_points(path), []
