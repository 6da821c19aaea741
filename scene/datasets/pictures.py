"""Finding image files, their sizes and their masks, without decoding them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from scene.scene_info import DatasetError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
_LISTED = 4


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels from the header of an image file."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path}: not a readable image; expected a PNG or JPEG, replace or remove it") from error


def with_extension(path: Path) -> Path | None:
    """The file itself, or the one that its missing extension stands for; None if there is none."""
    if path.is_file():
        return path
    candidates = (path.with_name(path.name + extension) for extension in EXTENSIONS)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorting key by which `cam2` comes before `cam10`."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts] + [(-1, 0, name)]


def pictures_in(folder: Path) -> list[Path]:
    """The image files directly in a folder, in natural order; none if there is no such folder."""
    if not folder.is_dir():
        return []
    seen = (path for path in folder.iterdir() if not path.name.startswith("."))
    files = (path for path in seen if path.suffix.lower() in EXTENSIONS and path.is_file())
    return sorted(files, key=lambda path: natural_key(path.name))


def find_mask(root: Path, image_name: str) -> Path | None:
    """`masks/<name>.png` of an image, where <name> is the relative name with or without its extension.

    Args:
        root: folder that holds `masks/`.
        image_name: relative image name, `/` between folders.
    """
    folder = root / "masks"
    if not folder.is_dir():
        return None
    stem = image_name.rpartition(".")[0] or image_name
    candidates = (folder / f"{name}.png" for name in (stem, image_name))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def few(names: Sequence[str]) -> str:
    """The first names of a list, in words."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
