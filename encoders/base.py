"""What a teacher is: something that turns the pictures of a scene into feature maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from utils.errors import UserError
from utils.registry import Registry

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

IGNORE_LABEL = 255  # unclear pixels of hand-drawn label maps

teachers = Registry("teacher")
register_teacher = teachers.register


@dataclass(frozen=True)
class SceneImages:
    """The pictures a teacher works on, by key (see `image_key`)."""

    source: Path  # folder of the data set
    paths: dict[str, Path]
    train: frozenset[str] = field(
        default_factory=frozenset
    )  # keys that may shape the teacher; the others only get maps


class Placement(NamedTuple):
    """Where the cells of a map lie: cell (i, j) is centred at (x0 + j dx, y0 + i dy), in picture widths and heights.

    A map that covers its picture edge to edge has x0 = 0.5 / w, dx = 1 / w.
    """

    x0: float
    dx: float
    y0: float
    dy: float


class EncodedMap(NamedTuple):
    """What a teacher says about one picture."""

    key: str
    features: np.ndarray  # [h, w, C] float
    placement: Placement | None = None  # None = edge to edge


class Teacher(Protocol):
    """A feature teacher. Classes register with `@register_teacher("name")` and take their options as keywords."""

    name: str
    dim: int  # C, channels of every map
    per_picture: bool  # whether a map depends on its own picture only: caches can then be filled in parts

    def options(self) -> dict[str, Any]:
        """What besides the pictures decides the maps, as JSON values; part of the cache's identity."""
        ...

    def inputs(self, images: SceneImages) -> dict[str, Path]:
        """The file that decides the map of each key (the picture itself, or e.g. its label map); must exist."""
        ...

    def encode_scene(self, images: SceneImages) -> Iterator[EncodedMap]:
        """The maps of all pictures, one after another."""
        ...


def image_key(image_name: str) -> str:
    """Key of an image name: the part before the first dot of the file name, with `a/b.png` -> `a__b`."""
    parts = [part for part in str(image_name).replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not parts:
        raise UserError(f"image name '{image_name}' is empty; expected a file name; check the data set")
    return "__".join([*parts[:-1], parts[-1].split(".")[0]])


def label_path(folder: Path, key: str) -> Path | None:
    """Label image of a picture: `<key>.png`, or named by the last part of a key like `train__r_0`; None without."""
    candidates = [folder / f"{key}.png", folder / f"{key.split('__')[-1]}.png"]
    return next((path for path in candidates if path.is_file()), None)


def keyed(image_paths: Mapping[str, Path | str]) -> dict[str, Path]:
    """Image names -> paths as keys -> paths, sorted; two names with one key are an error."""
    result: dict[str, Path] = {}
    for name in sorted(image_paths):
        key = image_key(name)
        if key in result:
            raise UserError(
                f"images '{name}' and '{result[key].name}' share the key '{key}'; "
                "names must differ before the first dot; rename one"
            )
        result[key] = Path(image_paths[name])
    return result


def find_images(source: Path, folder: str = "images") -> dict[str, Path]:
    """Image name (relative to its folder) -> path: `<source>/<folder>`, else `train/` and `test/`, else `ims/`, else
    the pictures in `source` itself."""
    for names in ((folder,), ("train", "test"), ("ims",)):
        found: dict[str, Path] = {}
        for name in names:
            root = source / name
            base = root if len(names) == 1 else source
            files = sorted(p for p in root.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES) if root.is_dir() else []
            found |= {path.relative_to(base).as_posix(): path for path in files}
        if found:
            return found
    loose = {path.name: path for path in sorted(source.glob("*")) if path.suffix.lower() in IMAGE_SUFFIXES}
    if loose:
        return loose
    raise UserError(f"{source} has no pictures; expected them in {folder}/, train/ and test/, or ims/; check -s")
