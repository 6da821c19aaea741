"""NeRF-synthetic and D-NeRF scenes: `transforms_train.json` and `transforms_test.json`."""

from __future__ import annotations

from pathlib import Path

from scene.datasets import DATASETS, ReadOptions
from scene.datasets.depths import with_rendered_depths
from scene.datasets.nerf_frames import read_frames, with_common_time
from scene.datasets.points import find_points
from scene.datasets.split import split_parts
from scene.scene_info import DatasetError, SceneInfo

RANDOM_HALF_SIZE = 1.3
"""Initial points fill [-1.3, 1.3]^3, as in the first 3DGS code."""


@DATASETS.register("blender", priority=20)
class BlenderReader:
    """Blender renders with poses, usually RGBA around the origin; a `time` in the frames makes the scene move."""

    def missing(self, folder: Path) -> str | None:
        """See `DatasetReader`."""
        return None if (folder / "transforms_train.json").is_file() else "no transforms_train.json"

    def read(self, folder: Path, options: ReadOptions) -> SceneInfo:
        """Train and test files, joined into train unless test views are held out."""
        train_file, test_file = folder / "transforms_train.json", folder / f"transforms_{options.dnerf_test}.json"
        if options.eval and not options.test_list and not test_file.is_file():
            raise DatasetError(f"{test_file}: no such file; expected the test views, or leave --eval away")
        files = [file for file in (train_file, test_file) if file.is_file()]
        parts = [read_frames(file) for file in files]
        notes = [note for file, part in zip(files, parts, strict=True) for note in part.notes(file)]
        cameras, time_notes = with_common_time(parts, folder)
        if options.depths:
            cameras, depth_notes = with_rendered_depths(cameras, folder / options.depths)
            notes += depth_notes
        train, *others = cameras
        train, test = split_parts(train, others[0] if others else (), options)
        low, high = (-RANDOM_HALF_SIZE,) * 3, (RANDOM_HALF_SIZE,) * 3
        points = find_points(folder)
        return SceneInfo(train, test, points, folder, "blender", tuple(notes + time_notes), random_box=(low, high))
