"""Class ids of the pixels of a scene's pictures, for `-f label`.

Read are `<stem>_label_CxHxW.pt` files (integers [H, W], as Label-3DGS writes them; -1 = ignore) and grey or indexed
`<key>.png` files (255 = ignore, with 16 bits 65535). Names of the ids: `label_classes.json` (a list) or
`classes.json` (a list, or {"id": "name"}) beside them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from encoders.base import image_key
from encoders.cache import find_key
from utils.errors import UserError
from utils.files import load_torch, read_json
from utils.progress import say

IGNORE = -1
MAX_ID = 32766
PLACES = ("features/label", "rgb_feature_langseg", "labels")  # in a data set, first found wins
CLASSES_FILE = "label_classes.json"
_NAME_FILES = (CLASSES_FILE, "classes.json")
_TENSOR_NAME = re.compile(r"(?P<key>.+)_label_CxHxW\.pt")


@dataclass(frozen=True)
class LabelMaps:
    """Label maps of a scene, read one by one. Channels are the ids that training pictures have, in rising order."""

    folder: Path
    files: dict[str, Path]  # by key
    ids: tuple[int, ...]  # of the channels, in the files
    classes: tuple[str, ...]  # names of the channels

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of the pictures that have a map, sorted."""
        return tuple(sorted(self.files))

    def has(self, image_name: str) -> bool:
        """Whether there is a map for a picture, by its name or key."""
        return find_key(image_name, self.files) is not None

    def get(self, image_name: str) -> Tensor:
        """Channels [h, w] long on the CPU; -1 = no label, or a class that no training picture has."""
        key = find_key(image_name, self.files)
        if key is None:
            raise UserError(f"{self.folder} has no label map for image '{image_name}'; expected one; make them anew")
        ids = read_ids(self.files[key])
        return torch.from_numpy(self._channel_of[np.minimum(ids, MAX_ID)])  # -1 reads the last entry: ignore

    @cached_property
    def _channel_of(self) -> np.ndarray:
        """Channel of every id, [MAX_ID + 2] int64."""
        table = np.full(MAX_ID + 2, IGNORE, np.int64)
        table[list(self.ids)] = np.arange(len(self.ids))
        return table


def open_label_maps(
    source_path: str | Path, folder: str | Path = "", train_names: Collection[str] | None = None
) -> LabelMaps:
    """The label maps of a scene; those of the training pictures are read once to see which classes there are.

    Args:
        source_path: folder of the data set.
        folder: folder of the maps; empty = the first of `PLACES` that has some.
        train_names: names of the training pictures; None = all that have a map.

    Raises:
        UserError: there are no maps, one cannot be read, or there are fewer than two classes.
    """
    place = Path(folder) if folder else _find_place(Path(source_path))
    files = label_files(place)
    if not files:
        raise UserError(
            f"{place} has no label maps; expected *_label_CxHxW.pt or .png files, one per picture; check the folder"
        )
    keys = set(files) if train_names is None else {find_key(name, files) for name in train_names} - {None}
    if not keys:
        raise UserError(f"{place} has no label map for any training picture; expected files named like the pictures")
    ids = ids_present(files[key] for key in sorted(keys))
    if len(ids) < 2:
        raise UserError(f"{place}: the training pictures show {len(ids)} classes; expected at least 2; check the maps")
    names = read_class_names(place)
    maps = LabelMaps(place, files, ids, tuple(names.get(i, f"class {i}") for i in ids))
    say(f"labels: {len(files)} maps of {len(ids)} classes in {place}")
    return maps


def label_files(folder: Path) -> dict[str, Path]:
    """Label files of a folder by picture key; PNG files only where there are no `_label_CxHxW.pt` files."""
    tensors = [(_TENSOR_NAME.fullmatch(path.name), path) for path in sorted(folder.glob("*_label_CxHxW.pt"))]
    found = {image_key(match["key"]): path for match, path in tensors if match}
    return found or {image_key(path.relative_to(folder).as_posix()): path for path in sorted(folder.rglob("*.png"))}


def ids_present(paths: Iterable[Path]) -> tuple[int, ...]:
    """Ids that occur in any of these files, sorted, without the ignored."""
    present = np.zeros(MAX_ID + 2, bool)
    for path in paths:
        present[read_ids(path)] = True
    return tuple(np.flatnonzero(present[: MAX_ID + 1]).tolist())


def read_ids(path: Path) -> np.ndarray:
    """Ids [h, w] int64 of a label file, -1 = ignore.

    Raises:
        UserError: the file is damaged, holds no integers [h, w], or an id is not -1 to 32766.
    """
    ids = _read_tensor(path) if path.suffix == ".pt" else _read_picture(path)
    if ids.ndim != 2 or 0 in ids.shape:
        raise UserError(f"{path} has shape {ids.shape}; expected label ids [h, w]; make the label maps anew")
    low, high = int(ids.min()), int(ids.max())
    if low < IGNORE or high > MAX_ID:
        raise UserError(f"{path} has label ids from {low} to {high}; expected {IGNORE} (ignore) to {MAX_ID}; mend them")
    return ids


def read_class_names(folder: Path) -> dict[int, str]:
    """Names by id from the file beside the maps; empty without one."""
    path = next((folder / name for name in _NAME_FILES if (folder / name).is_file()), None)
    if path is None:
        return {}
    data = read_json(path)
    pairs = list(enumerate(data)) if isinstance(data, list) else list(data.items()) if isinstance(data, dict) else None
    if pairs is None or not all(isinstance(name, str) and str(key).isdecimal() for key, name in pairs):
        raise UserError(f'{path}: expected a list of class names, or {{"id": "name"}}; write one of them')
    return {int(key): name for key, name in pairs}


def _find_place(source: Path) -> Path:
    for place in PLACES:
        if label_files(source / place):
            return source / place
    raise UserError(
        f"{source} has no label maps; expected *_label_CxHxW.pt or .png files in {', '.join(PLACES)}; "
        "name their folder with --feature_cache"
    )


def _read_tensor(path: Path) -> np.ndarray:
    tensor = load_torch(path, mmap=True)
    if not isinstance(tensor, Tensor):
        raise UserError(
            f"{path} holds a {type(tensor).__name__}; expected one tensor of label ids [h, w]; make it anew"
        )
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise UserError(f"{path} is {tensor.dtype}; expected integer label ids [h, w]; make the label maps anew")
    return tensor.squeeze(0).numpy().astype(np.int64) if tensor.ndim == 3 else tensor.numpy().astype(np.int64)


def _read_picture(path: Path) -> np.ndarray:
    """Ids [h, w] int64 of a grey or indexed picture; the largest value of its type means ignore."""
    try:
        with Image.open(path) as image:
            pixels = np.array(image)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path} is not a readable label map ({reason}); replace it") from None
    if pixels.ndim == 3 and (pixels[..., :3] == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    if pixels.ndim != 2 or pixels.dtype.kind not in "ui":
        raise UserError(f"{path} is a colour picture; expected label ids as a single-channel PNG; convert it")
    largest = 255 if pixels.dtype == np.uint8 else 65535
    return np.where(pixels == largest, IGNORE, pixels.astype(np.int64))
