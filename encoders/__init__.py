"""Teachers: feature maps for the pictures of a scene, computed when missing and cached.

maps = open_features("data/fox", "classical")
maps.get("0001.jpg")  # [C, h, w]
"""

from __future__ import annotations

import errno
import inspect
import os
import uuid
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from encoders.base import SceneImages, Teacher, find_images, image_key, keyed, teachers
from encoders.build import build_cache, identity_of
from encoders.cache import MANIFEST, CacheFolder, FeatureMaps, LegacyFolder, open_folder
from encoders.record import TeacherRecord
from utils.errors import UserError
from utils.progress import say

__all__ = [
    "FeatureMaps",
    "SceneImages",
    "Teacher",
    "TeacherRecord",
    "build_cache",
    "existing_features",
    "find_cache_folder",
    "image_key",
    "make_teacher",
    "open_features",
    "scene_images",
    "teachers",
]

LEGACY_FOLDERS = {"lseg": "rgb_feature_langseg", "sam": "sam_embeddings"}  # where Feature 3DGS keeps its maps


def make_teacher(name: str, options: Mapping[str, Any] | None = None) -> Teacher:
    """The teacher called `name`; unknown names and options are a one-line error."""
    teachers.discover("encoders")
    kind, given = teachers.get(name), options or {}
    known = inspect.signature(kind).parameters
    if given.keys() - known.keys():
        raise UserError(
            f"teacher '{name}' does not take the options {', '.join(given)}; known: {', '.join(known)}; check the names"
        )
    return kind(**given)


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
        foundation_model: a registered teacher, or any name with a `cache_dir` that holds maps.
        cache_dir: folder of the maps; empty = `<source>/features/<teacher>`, for lseg and sam first the folders of
            Feature 3DGS.
        image_paths: image name -> file of all pictures that need a map; None = those found in the data set.
        fallback_dir: the model folder; `<fallback>/features/<teacher>` is used when the source cannot be written.
        train_names: names of the pictures that may shape the teacher; None = all. The others are only extended to.
        options: keywords of the teacher, e.g. {"noise": 0.1}; without, those of a cache that is there are taken.
    """
    source, folder = Path(source_path), Path(cache_dir) if cache_dir else None
    legacy = folder or source / LEGACY_FOLDERS.get(foundation_model, "")
    if legacy != source and next(legacy.glob("*_fmap_CxHxW.pt"), None):
        return _say_opened(LegacyFolder.open(legacy), legacy)
    if folder is not None and (folder / MANIFEST).is_file() and foundation_model not in _teacher_names():
        return _say_opened(CacheFolder.open(folder), folder)
    teacher = make_teacher(foundation_model, options)
    images = scene_images(source, image_paths, train_names)
    identity = identity_of(teacher, images)
    if not options:  # then those of a cache that is there are as good, if it is of this version
        identity["options"] = {"recipe": identity["options"].get("recipe")}
    places = _places(source, teacher.name, folder, fallback_dir)
    for place in places:
        if (place / MANIFEST).is_file() and _matches(place, identity):
            return _say_opened(CacheFolder.open(place), place)
    maps = build_cache(teacher, images, _first_writable(places))
    if maps is None:
        raise UserError(
            "other processes still encode pictures; expected a complete cache; start again when they are done"
        )
    return maps


def existing_features(
    source_path: str | os.PathLike,
    foundation_model: str,
    cache_dir: str | os.PathLike = "",
    fallback_dir: str | os.PathLike = "",
) -> Iterator[FeatureMaps]:
    """The maps that are there already, in the places where `open_features` would look; nothing is computed."""
    source, folder = Path(source_path), Path(cache_dir) if cache_dir else None
    known = teachers.discover("encoders")
    name = known.get(foundation_model).name if foundation_model in known else foundation_model
    places = _places(source, name, folder, fallback_dir)
    if folder is None and name in LEGACY_FOLDERS:
        places.insert(0, source / LEGACY_FOLDERS[name])
    return (maps for place in places if (maps := open_folder(place)) is not None)


def _teacher_names() -> list[str]:
    return teachers.discover("encoders").names()


def _places(source: Path, teacher: str, folder: Path | None, fallback: str | os.PathLike) -> list[Path]:
    if folder is not None:
        return [folder]
    roots = [source, Path(fallback)] if fallback else [source]
    return [root / "features" / teacher for root in roots]


def _say_opened(maps: FeatureMaps, folder: Path) -> FeatureMaps:
    say(f"features: {len(maps.names)} maps of {maps.dim} channels in {folder}")
    return maps


def scene_images(
    source: Path, image_paths: Mapping[str, Path] | None = None, train_names: Collection[str] | None = None
) -> SceneImages:
    """The pictures of a scene by key: those given, else all that are found in the data set."""
    paths = keyed(image_paths if image_paths is not None else find_images(source))
    if not paths:
        raise UserError(f"{source}: no picture to make features for; expected one or more; check the data set")
    train = frozenset(paths) if train_names is None else frozenset(image_key(name) for name in train_names)
    if train - paths.keys():
        raise UserError(f"training picture '{min(train - paths.keys())}' is not among the pictures; check the names")
    return SceneImages(source, paths, train)


def _matches(folder: Path, identity: dict[str, Any]) -> bool:
    """Whether a cache was made as `identity` says, as far as it says; it may hold further pictures."""
    try:
        manifest = CacheFolder.open(folder).manifest
    except ValueError:
        return False
    same = all(manifest.get(name) == identity[name] for name in ("teacher", "train"))
    kept = {part: manifest.get(part, {}) for part in ("options", "inputs")}
    return same and all(kept[part].get(key) == value for part in kept for key, value in identity[part].items())


def find_cache_folder(source: Path, teacher: str, cache_dir: str | os.PathLike = "") -> Path:
    """Where `python -m encoders` writes: the named folder, else `<source>/features/<teacher>`."""
    return _first_writable(_places(source, teacher, Path(cache_dir) if cache_dir else None, ""))


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
