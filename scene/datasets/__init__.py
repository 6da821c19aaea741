"""Dataset readers: one file = one format, found by looking at the folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scene.scene_info import DatasetError, SceneInfo
from utils.registry import Registry

DATASETS = Registry("dataset reader")
WITH_DEPTHS = ("colmap", "blender")
"""Readers that look for inverse-depth maps."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read a data set."""

    images: str = "images"
    """Image sub-folder (COLMAP)."""
    eval: bool = False
    """Hold out test views."""
    llffhold: int = 8
    """With `eval`, every n-th image by name is a test view; 0 = the list `sparse/0/test.txt`."""
    test_offset: int = 0
    """Index of the first of these test views."""
    test_list: str = ""
    """File with one test image name per line; holds those out, with or without `eval`."""
    dnerf_test: str = "test"
    """Which file holds the test views of NeRF-synthetic and D-NeRF scenes: test or val."""
    nerfies_split: str = "auto"
    """Nerfies family: auto (by the name of the parent folder), vrig, interp, all or nerfds."""
    nerfies_ratio: float = 0.0
    """Nerfies family: size of the pictures relative to the cameras' (0.5 = rgb/2x); 0 = by the split rule."""
    num_frames: int = 0
    """Neu3D: use the first so many frames of each camera; 0 = all."""
    times_from_names: bool = False
    """COLMAP: the image names tell the order in time, unless there is a times.json."""
    depths: str = ""
    """Sub-folder of inverse-depth maps; empty = none."""


class DatasetReader(Protocol):
    """One format. Registered with `@DATASETS.register(name, priority=...)`; higher priorities look first."""

    def missing(self, folder: Path) -> str | None:
        """None if the folder has this format, else what was looked for and not found."""

    def read(self, folder: Path, options: ReadOptions) -> SceneInfo:
        """Reads the folder without writing into it."""


def read_scene(folder: Path | str, options: ReadOptions | None = None) -> SceneInfo:
    """Reads a data set with the first reader that knows its format.

    Raises:
        DatasetError: one line that says what was seen, what was expected and what to do.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; give the data set with -s")
    DATASETS.discover("scene.datasets")
    reasons = []
    for name, reader_class in DATASETS.items():
        reader = reader_class()
        reason = reader.missing(folder)
        if reason is None:
            return _checked(reader.read(folder, options or ReadOptions()), options or ReadOptions())
        reasons.append(f"{name}: {reason}")
    raise DatasetError(f"{folder}: not a data set that can be read; {'; '.join(reasons)}")


def _checked(info: SceneInfo, options: ReadOptions) -> SceneInfo:
    """What must hold for every reader's result."""
    if options.depths and info.reader not in WITH_DEPTHS:
        known = ", ".join(WITH_DEPTHS)
        raise DatasetError(f"{info.root}: --depths is not known for {info.reader}; expected {known}; leave it out")
    if not info.train:
        left = f"all {len(info.test)} are test views" if info.test else "it has no cameras"
        raise DatasetError(f"{info.root}: no training cameras ({left}); check --llffhold, --test_list or the data set")
    names = [camera.image_name for camera in (*info.train, *info.test)]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})[:3]
        raise DatasetError(f"{info.root}: image names occur twice: {', '.join(twice)}; each image must be listed once")
    return info
