"""Synchronised rigs as Dynamic 3D Gaussians has them: CMU Panoptic, our own recordings, the procedural rigs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scene.datasets import DATASETS, ReadOptions
from scene.datasets.foreground import read_foreground
from scene.datasets.panoptic_cloud import FILE_NAME as CLOUD_FILE
from scene.datasets.panoptic_cloud import read_cloud, sight_notes
from scene.datasets.panoptic_meta import RigMeta, read_meta
from scene.datasets.pictures import few, image_size
from scene.datasets.split import split_parts
from scene.scene_info import CameraInfo, DatasetError, SceneInfo

TRAIN_FILE, TEST_FILE = "train_meta.json", "test_meta.json"
MOTION = "per_timestep"
_ROUNDING_PX = 1.0
_NOTHING, _EVERYTHING = 0.001, 0.999  # mean share of a mask that tells nothing apart


@DATASETS.register("panoptic", priority=17)
class PanopticReader:
    """Fixed or moving cameras in `train_meta.json`, pictures in `ims/`, masks in `seg/`, points in a NumPy file."""

    def missing(self, folder: Path) -> str | None:
        """See `DatasetReader`."""
        return None if (folder / TRAIN_FILE).is_file() else f"no {TRAIN_FILE}"

    def read(self, folder: Path, options: ReadOptions) -> SceneInfo:
        """Reads the cameras of both files; moment t of T is at time t / (T - 1)."""
        metas = [read_meta(path, _checked_count(options.num_frames)) for path in _meta_files(folder)]
        _check_moments(metas)
        _check_files(folder, metas)
        sets = [_cameras(folder, meta) for meta in metas]
        held_out = sets[1] if len(sets) > 1 else ()
        first = [camera for cameras in sets for camera in cameras if camera.time == 0]
        points, notes = read_cloud(folder / CLOUD_FILE)
        notes = [*(note for meta in metas for note in meta.notes), *_id_notes(metas), *_size_notes(metas, sets), *notes]
        if points is not None:
            notes += sight_notes(points, [camera for camera in sets[0] if camera.time == 0], folder / CLOUD_FILE)
        masks, mask_notes = _masks(folder, sets[0], first)
        train, test = split_parts(sets[0], held_out, options)
        details = f"{sum(len(meta.camera_ids) for meta in metas)} cameras, {masks}"
        return SceneInfo(
            train, test, points, folder, "panoptic", tuple(notes + mask_notes), motion=MOTION, details=details
        )


def _checked_count(num_frames: int) -> int:
    if num_frames < 0:
        raise DatasetError(f"--num_frames is {num_frames}; expected 0 (all) or more; change it")
    return num_frames


def _meta_files(folder: Path) -> list[Path]:
    """The training file and, if there is one, the file of the cameras to hold out."""
    return [path for path in (folder / TRAIN_FILE, folder / TEST_FILE) if path.name == TRAIN_FILE or path.is_file()]


def _check_moments(metas: Sequence[RigMeta]) -> None:
    counts = [meta.num_moments for meta in metas]
    if len(set(counts)) > 1:
        raise DatasetError(
            f"{metas[1].path}: has {counts[1]} moments, {TRAIN_FILE} has {counts[0]}; expected equally many, cut the "
            f"longer one or use the first {min(counts)} with --num_frames"
        )


def _check_files(folder: Path, metas: Sequence[RigMeta]) -> None:
    """Every picture is there."""
    names = [name for meta in metas for row in meta.names for name in row]
    absent = [name for name in names if not (folder / "ims" / name).is_file()]
    if absent:
        raise DatasetError(
            f"{folder / 'ims'}: {len(absent)} of {len(names)} pictures are missing ({few(absent)}); put them back, or "
            "use the first moments with --num_frames"
        )


def _cameras(folder: Path, meta: RigMeta) -> tuple[CameraInfo, ...]:
    """One record per camera and moment, moment by moment."""
    last = max(meta.num_moments - 1, 1)
    return tuple(
        replace(_camera(folder, meta, moment, column), time=moment / last)
        for moment in range(meta.num_moments)
        for column in range(len(meta.camera_ids))
    )


def _camera(folder: Path, meta: RigMeta, moment: int, column: int) -> CameraInfo:
    """One picture with intrinsics for the size of its file."""
    name = meta.names[moment][column]
    path = folder / "ims" / name
    width, height = image_size(path)
    scale_x, scale_y = _scales((width, height), meta, path)
    k = meta.intrinsics[moment, column]
    return CameraInfo(
        image_name=name,
        image_path=path,
        world_to_camera=meta.poses[moment, column],
        fx=float(k[0, 0]) * scale_x,
        fy=float(k[1, 1]) * scale_y,
        cx=float(k[0, 2]) * scale_x,
        cy=float(k[1, 2]) * scale_y,
        width=width,
        height=height,
        foreground_path=_find_foreground(folder, name),
        camera_id=meta.camera_ids[column],
    )


def _scales(size: tuple[int, int], meta: RigMeta, path: Path) -> tuple[float, float]:
    """How much larger the file is than the cameras say; another shape is an error."""
    ratio = size[0] / meta.width
    if abs(size[1] - meta.height * ratio) > _ROUNDING_PX * max(ratio, 1):
        raise DatasetError(
            f"{path}: is {size[0]}x{size[1]}; expected {meta.width}x{meta.height} as in {meta.path.name}, or the same "
            "shape larger or smaller; was it cropped or turned?"
        )
    return ratio, size[1] / meta.height


def _find_foreground(folder: Path, name: str) -> Path | None:
    """`seg/<name>.png` of a picture."""
    path = (folder / "seg" / name).with_suffix(".png")
    return path if path.is_file() else None


def _id_notes(metas: Sequence[RigMeta]) -> list[str]:
    both = sorted(set.intersection(*(set(meta.camera_ids) for meta in metas))) if len(metas) > 1 else []
    if not both:
        return []
    return [f"{metas[1].path}: cam_id {few([str(one) for one in both])} also in {TRAIN_FILE}; expected other cameras"]


def _size_notes(metas: Sequence[RigMeta], sets: Sequence[Sequence[CameraInfo]]) -> list[str]:
    """One line per file whose pictures have another size than it says."""
    notes = []
    for meta, cameras in zip(metas, sets, strict=True):
        other = [camera for camera in cameras if (camera.width, camera.height) != (meta.width, meta.height)]
        if other:
            size = f"{other[0].width}x{other[0].height}"
            notes.append(
                f"{meta.path}: {len(other)} of {len(cameras)} pictures are {size}, not {meta.width}x{meta.height}; "
                "k is scaled to fit"
            )
    return notes


def _masks(folder: Path, train: Sequence[CameraInfo], first: Sequence[CameraInfo]) -> tuple[str, list[str]]:
    """What there are of masks, in words, and warnings; their content is looked at for the first moment only."""
    having = {camera.camera_id for camera in train if camera.foreground_path is not None}
    if not having:
        return "no masks (mask-free)", []
    absent = [c.image_name for c in train if c.camera_id in having and c.foreground_path is None]
    notes = [f"{folder / 'seg'}: no mask for {few(absent)}; the others are used"] if absent else []
    count = len({camera.camera_id for camera in train})
    words = "masks" if len(having) == count else f"masks of {len(having)} of {count} training cameras"
    shares = [read_foreground(camera).mean() / 255 for camera in first if camera.foreground_path is not None]
    if shares and (min(shares) >= _EVERYTHING or max(shares) <= _NOTHING):
        kind = "all foreground" if np.mean(shares) > 0.5 else "empty"
        notes.append(
            f"{folder / 'seg'}: all masks of the first moment are {kind}, which tells nothing apart; make them again, "
            "or remove seg/ to go without masks"
        )
    return words, notes
