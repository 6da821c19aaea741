"""True label images of a data set, wherever they lie, and which label is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from encoders.base import image_key, label_path
from encoders.label_maps import IGNORE, read_class_names, read_ids
from utils.errors import UserError
from utils.files import read_json

MAPPING_FILE = "class_mapping.json"  # names of all splits' masks, at the root of the data set
MASKS = "masks"  # folder beside the pictures of a split


@dataclass(frozen=True)
class TrueLabels:
    """Label images in one folder (`<view>.png`), or beside the pictures of each split (`<split>/masks/<stem>.png`)."""

    folder: Path
    names: dict[int, str]
    """Names of the ids; empty = the images are plain masks."""
    split: str | None = None
    """Where the images lie beside the pictures: the only split that counts, or empty for all; None = one folder."""

    @classmethod
    def open(cls, place: str | Path) -> TrueLabels:
        """From the folder of the images, or of the data set.

        A data set's `labels/` comes before its `<split>/masks/`. The `masks/` of one split are of that split only.
        """
        place = Path(place)
        if not place.is_dir():
            raise UserError(f"{place}: no such folder; expected true label images; check --labels")
        if place.name == MASKS and (place.parent.parent / MAPPING_FILE).is_file():
            return cls(place.parent.parent, _mapping(place.parent.parent), place.parent.name)
        if (place / "labels").is_dir():
            return cls(place / "labels", read_class_names(place / "labels"))
        if any(place.glob(f"*/{MASKS}/*.png")):
            return cls(place, _mapping(place), "")
        return cls(place, read_class_names(place))

    def path_of(self, image_name: str) -> Path | None:
        """The label image of a picture; None without one."""
        if self.split is None:
            return label_path(self.folder, image_key(image_name))
        picture = PurePosixPath(str(image_name).replace("\\", "/"))
        if self.split not in ("", picture.parent.name):
            return None
        path = self.folder / picture.parent / MASKS / f"{picture.name.split('.')[0]}.png"
        return path if path.is_file() else None

    def ids_of(self, image_name: str) -> np.ndarray | None:
        """Ids [h, w] of a picture, -1 = ignore; None without an image."""
        path = self.path_of(image_name)
        return None if path is None else read_ids(path)

    def ids_among(self, image_name: str, classes: Sequence[str]) -> np.ndarray | None:
        """Indices [h, w] into `classes` by name, -1 elsewhere; None without an image."""
        ids = self.ids_of(image_name)
        if ids is None:
            return None
        result = np.full(ids.shape, IGNORE)
        for number, name in self.names.items():
            if name in classes:
                result[ids == number] = classes.index(name)
        return result

    def id_of(self, wanted: str) -> int:
        """The id of an object by its name, or as a number."""
        if wanted.isdigit():
            return int(wanted)
        ids = [number for number, name in self.names.items() if name == wanted]
        if not ids:
            known = ", ".join(f"{number} {name}" for number, name in self.names.items()) or "no names there"
            raise UserError(f"object {wanted!r} is not in {self.folder}; known: {known}; use --object with one of them")
        return ids[0]


def _mapping(root: Path) -> dict[int, str]:
    """Names by id of a data set whose masks lie beside its pictures."""
    path = root / MAPPING_FILE
    data = read_json(path) if path.is_file() else {}
    if not isinstance(data, dict) or not all(isinstance(n, str) and k.isdecimal() for k, n in data.items()):
        raise UserError(f'{path}: expected {{"id": "name"}}; mend it')
    return {int(key): name for key, name in data.items()}
