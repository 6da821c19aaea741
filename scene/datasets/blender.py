"""NeRF-synthetic scenes: `transforms_train.json` and `transforms_test.json`."""

from __future__ import annotations

from pathlib import Path

from scene.datasets import DATASETS, ReadOptions
from scene.datasets.nerf_frames import read_frames
from scene.datasets.split import divide, read_test_list
from scene.scene_info import CameraInfo, DatasetError, SceneInfo

RANDOM_HALF_SIZE = 1.3
"""Initial points fill [-1.3, 1.3]^3, as in the first 3DGS code."""


@DATASETS.register("blender", priority=20)
class BlenderReader:
    """Blender renders with poses, usually RGBA around the origin."""

    def missing(self, folder: Path) -> str | None:
        """See `DatasetReader`."""
        return None if (folder / "transforms_train.json").is_file() else "no transforms_train.json"

    def read(self, folder: Path, options: ReadOptions) -> SceneInfo:
        """Train and test files, joined into train unless test views are held out."""
        train_file, test_file = folder / "transforms_train.json", folder / "transforms_test.json"
        if options.eval and not options.test_list and not test_file.is_file():
            raise DatasetError(f"{test_file}: no such file; expected the test views, or leave --eval away")
        parts = [(file, read_frames(file)) for file in (train_file, test_file) if file.is_file()]
        notes = [note for file, frames in parts for note in frames.notes(file)]
        train, test = _split([frames.cameras for _, frames in parts], options)
        low, high = (-RANDOM_HALF_SIZE,) * 3, (RANDOM_HALF_SIZE,) * 3
        return SceneInfo(train, test, None, folder, "blender", tuple(notes), random_box=(low, high))


def _split(
    parts: list[tuple[CameraInfo, ...]], options: ReadOptions
) -> tuple[tuple[CameraInfo, ...], tuple[CameraInfo, ...]]:
    """(train, test): by file with `eval`, by name with a test list, else all is train."""
    cameras = tuple(camera for part in parts for camera in part)
    if options.test_list:
        names = read_test_list(Path(options.test_list).expanduser(), [camera.image_name for camera in cameras])
        return divide(cameras, names)
    return (parts[0], parts[1]) if options.eval else (cameras, ())
