"""Inverse-depth maps beside the photographs, and which of them can be relied on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from scene.datasets.pictures import few
from scene.scene_info import CameraInfo, DatasetError, DepthMap
from utils.files import read_json

PARAMS_FILE = "depth_params.json"
FULL_SCALE = 65536.0
"""Divisor of the maps of COLMAP scenes, whatever their number of bits."""
RENDERED_FULL_SCALE = 512.0
"""Divisor of the maps of NeRF-synthetic scenes, which need no scale and offset."""
SMALLEST_SCALE, LARGEST_SCALE = 0.2, 5.0
"""Times the median scale: maps beyond did not fit their points."""


@dataclass(frozen=True)
class Alignment:
    """How a map's values become inverse depths of the world: value * scale + offset."""

    scale: float
    offset: float


def read_alignments(path: Path) -> dict[str, Alignment]:
    """`depth_params.json`: alignment by image name without extension.

    Raises:
        DatasetError: the file is missing or is not what `utils/make_depth_scale.py` writes.
    """
    if not path.is_file():
        raise DatasetError(
            f"{path}: no such file; expected scale and offset of each depth map; "
            "run: python utils/make_depth_scale.py --base_dir SCENE --depths_dir MAPS"
        )
    entries = read_json(path)
    if not isinstance(entries, Mapping) or not all(_is_alignment(entry) for entry in entries.values()):
        raise DatasetError(
            f'{path}: expected {{"image name": {{"scale": number, "offset": number}}}}; '
            "run utils/make_depth_scale.py again"
        )
    return {name: Alignment(float(entry["scale"]), float(entry["offset"])) for name, entry in entries.items()}


def _is_alignment(entry: object) -> bool:
    values = [entry.get(name) for name in ("scale", "offset")] if isinstance(entry, Mapping) else [None]
    return all(isinstance(value, int | float) and np.isfinite(value) for value in values)


def with_aligned_depths(
    cameras: Sequence[CameraInfo], folder: Path, alignments: Mapping[str, Alignment]
) -> tuple[list[CameraInfo], list[str]]:
    """COLMAP: the cameras with the maps that can be relied on, and notes about the others.

    A map is relied on if its scale is between a fifth and five times the median of all positive scales.
    """
    found, notes = _found(cameras, folder, stem_of)
    positive = [alignment.scale for alignment in alignments.values() if alignment.scale > 0]
    median = float(np.median(positive)) if positive else 0.0
    absent = [info.image_name for info, path in found if path and stem_of(info.image_name) not in alignments]
    if absent:
        notes.append(f"{PARAMS_FILE} lacks {len(absent)} images ({few(absent)}); their depth maps are not used")
    result, odd = [], []
    for info, path in found:
        alignment = alignments.get(stem_of(info.image_name))
        depth = None
        if path is not None and alignment is not None:
            if alignment.scale > 0 and SMALLEST_SCALE * median <= alignment.scale <= LARGEST_SCALE * median:
                depth = DepthMap(path, FULL_SCALE, alignment.scale, alignment.offset)
            else:
                odd.append(info.image_name)
        result.append(replace(info, depth=depth))
    if odd:
        notes.append(f"{len(odd)} depth maps fit their points badly and are not used ({few(odd)})")
    return result, notes


def with_rendered_depths(
    parts: Sequence[Sequence[CameraInfo]], folder: Path
) -> tuple[list[tuple[CameraInfo, ...]], list[str]]:
    """NeRF-synthetic: the cameras of each part (train, test) with their maps of final inverse depths, and notes.

    Train and test pictures often have the same names: a map without a folder in its name is the first one's.
    """
    found, notes = _found([info for part in parts for info in part], folder, lambda name: Path(name).stem)
    taken: set[Path] = set()
    known = []
    for info, path in found:
        is_mine = path is not None and path not in taken
        known.append(replace(info, depth=DepthMap(path, RENDERED_FULL_SCALE)) if is_mine else info)
        taken |= {path} if is_mine else set()
    remaining = iter(known)
    return [tuple(islice(remaining, len(part))) for part in parts], notes


def stem_of(image_name: str) -> str:
    """Relative name without extension."""
    return image_name.rpartition(".")[0] or image_name


def _found(
    cameras: Sequence[CameraInfo], folder: Path, short: Callable[[str], str]
) -> tuple[list[tuple[CameraInfo, Path | None]], list[str]]:
    """Each camera with the map of its relative or else its short name, and a note if some have none."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; expected the depth maps, one PNG per image; check --depths")
    paths = [_map_of(folder, (stem_of(info.image_name), short(info.image_name))) for info in cameras]
    absent = [info.image_name for info, path in zip(cameras, paths, strict=True) if path is None]
    if len(absent) == len(paths):
        raise DatasetError(f"{folder}: no map of any image; expected e.g. {short(cameras[0].image_name)}.png")
    notes = [f"{folder} lacks the maps of {len(absent)} of {len(paths)} images ({few(absent)})"] if absent else []
    return list(zip(cameras, paths, strict=True)), notes


def _map_of(folder: Path, names: Sequence[str]) -> Path | None:
    return next((path for name in names if (path := folder / f"{name}.png").is_file()), None)
