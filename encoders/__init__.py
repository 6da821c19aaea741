"""Teachers: feature maps for the pictures of a scene, computed when missing and cached.

maps = open_features("data/fox", "classical")
maps.get("0001.jpg")  # [C, h, w]
"""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from encoders.base import SceneImages, Teacher, find_images, image_key, keyed, teachers
from encoders.cache import MANIFEST, CacheFolder, CacheWriter, FeatureMaps, LegacyFolder, open_folder
from utils.errors import UserError
from utils.progress import say

__all__ = [
    "FeatureMaps",
    "SceneImages",
    "Teacher",
    "build_cache",
    "existing_features",
    "image_key",
    "make_teacher",
    "open_features",
    "teachers",
]

LEGACY_FOLDERS = {"lseg": "rgb_feature_langseg", "sam": "sam_embeddings"}  # where Feature 3DGS keeps its maps


def make_teacher(name: str, options: Mapping[str, Any] | None = None) -> Teacher:
    """The teacher called `name`; unknown names and options are a one-line error."""
    teachers.discover("encoders")
    try:
        return teachers.get(name)(**(options or {}))
    except TypeError:
        given = ", ".join(options or {})
        known = ", ".join(teachers.get(name)().options())
        raise UserError(
            f"teacher '{name}' does not take the options {given}; known: {known}; check the names"
        ) from None


def open_features(
    source_path: str | os.PathLike,
    foundation_model: str,
    cache_dir: str | os.PathLike = "",
    image_paths: Mapping[str, Path] | None = None,
    fallback_dir: str | os.PathLike = "",
    train_names: Collection[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> FeatureMaps:
    """Feature maps of a scene: opened when they are there and fit, else computed (own teachers) and cached.

    Args:
        source_path: folder of the data set.
        foundation_model: a registered teacher (classical, oracle), or lseg / sam for existing `*_fmap_CxHxW.pt` maps.
        cache_dir: folder of the maps; empty = `<source>/features/<teacher>` (lseg, sam: their own folders).
        image_paths: image name -> file of all pictures that need a map; None = those found in the data set.
        fallback_dir: the model folder; `<fallback>/features/<teacher>` is used when the source cannot be written.
        train_names: names of the pictures that may shape the teacher; None = all. The others are only extended to.
        options: keywords of the teacher, e.g. {"noise": 0.1}.
    """
    source, folder = Path(source_path), Path(cache_dir) if cache_dir else None
    if folder is not None and next(folder.glob("*_fmap_CxHxW.pt"), None):
        return _say_opened(LegacyFolder.open(folder), folder)
    if foundation_model in LEGACY_FOLDERS:
        return _open_foreign(source, foundation_model, folder)
    if folder is not None and (folder / MANIFEST).is_file() and foundation_model not in _teacher_names():
        return _say_opened(CacheFolder.open(folder), folder)
    teacher = make_teacher(foundation_model, options)
    images = _scene_images(source, image_paths, train_names)
    identity = _identity(teacher, images)
    places = _places(source, teacher.name, folder, fallback_dir)
    for place in places:
        if (place / MANIFEST).is_file() and _matches(place, identity, images):
            return _say_opened(CacheFolder.open(place), place)
    return build_cache(teacher, images, _first_writable(places))


def existing_features(
    source_path: str | os.PathLike,
    foundation_model: str,
    cache_dir: str | os.PathLike = "",
    fallback_dir: str | os.PathLike = "",
) -> Iterator[FeatureMaps]:
    """The maps that are there already, in the places where `open_features` would look; nothing is computed."""
    source, folder = Path(source_path), Path(cache_dir) if cache_dir else None
    places = _places(source, foundation_model, folder, fallback_dir)
    if folder is None and foundation_model in LEGACY_FOLDERS:
        places[0] = source / LEGACY_FOLDERS[foundation_model]
    return (maps for place in places if (maps := open_folder(place)) is not None)


def _teacher_names() -> list[str]:
    return teachers.discover("encoders").names()


def _places(source: Path, teacher: str, folder: Path | None, fallback: str | os.PathLike) -> list[Path]:
    if folder is not None:
        return [folder]
    roots = [source, Path(fallback)] if fallback else [source]
    return [root / "features" / teacher for root in roots]


def _open_foreign(source: Path, name: str, folder: Path | None) -> FeatureMaps:
    folder = folder or source / LEGACY_FOLDERS[name]
    if (folder / MANIFEST).is_file():
        return _say_opened(CacheFolder.open(folder), folder)
    if not folder.is_dir():
        raise UserError(
            f"{folder} is missing; -f {name} expects its <stem>_fmap_CxHxW.pt maps there; "
            "extract them, name their folder with --feature_cache, or use -f classical"
        )
    return _say_opened(LegacyFolder.open(folder), folder)


def _say_opened(maps: FeatureMaps, folder: Path) -> FeatureMaps:
    say(f"features: {len(maps.names)} maps of {maps.dim} channels in {folder}")
    return maps


def _scene_images(source: Path, image_paths: Mapping[str, Path] | None, train_names: Collection[str] | None):
    paths = keyed(image_paths if image_paths is not None else find_images(source))
    if not paths:
        raise UserError(f"{source}: no picture to make features for; expected one or more; check the data set")
    train = frozenset(paths) if train_names is None else frozenset(image_key(name) for name in train_names)
    if train - paths.keys():
        raise UserError(f"training picture '{min(train - paths.keys())}' is not among the pictures; check the names")
    return SceneImages(source, paths, train)


def _identity(teacher: Teacher, images: SceneImages) -> dict[str, Any]:
    """What decides the content of a cache: teacher, options, training pictures, size and time of every input."""
    inputs = {}
    for key, path in teacher.inputs(images).items():
        status = path.stat()
        inputs[key] = [status.st_size, status.st_mtime_ns]
    return {"teacher": teacher.name, "options": teacher.options(), "train": sorted(images.train), "inputs": inputs}


def _matches(folder: Path, identity: dict[str, Any], images: SceneImages) -> bool:
    """Whether a cache was made by the same teacher from the same files; it may hold further pictures."""
    try:
        manifest = CacheFolder.open(folder).manifest
    except ValueError:
        return False
    same = all(manifest.get(name) == identity[name] for name in ("teacher", "options", "train"))
    stored = manifest.get("inputs", {})
    return same and all(stored.get(key) == value for key, value in identity["inputs"].items())


def _first_writable(places: list[Path]) -> Path:
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            probe = place / f".probe_{uuid.uuid4().hex[:8]}"
            probe.touch()
            probe.unlink()
            return place
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
                raise
    raise UserError(f"{places[0]} cannot be written; expected a writable folder; name one with --feature_cache")


def build_cache(teacher: Teacher, images: SceneImages, folder: Path) -> CacheFolder:
    """Run the teacher on all pictures and store the maps in `folder`."""
    start = time.monotonic()
    say(
        f"features: the {teacher.name} teacher works on {len(images.paths)} pictures ({len(images.train)} for training)"
    )
    writer = CacheWriter(folder, _identity(teacher, images), teacher.dim)
    for key, features in teacher.encode_scene(images):
        writer.add(key, features)
    maps = writer.finish()
    seconds = time.monotonic() - start
    say(f"features: {len(maps.names)} maps of {maps.dim} channels written to {folder} in {seconds:.1f} s")
    return maps
