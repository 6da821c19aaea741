"""Which student map belongs to which teacher map, and how well their classes agree: three protocols.

f3dgs: as Feature 3DGS publishes it (ids from 1, three pairs merged, maps of 119x159, seven most frequent labels of an
image). label3dgs: as Label-3DGS (classes present in an image). standard: one confusion matrix over all images.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from encoders.base import image_key
from encoders.cache import find_key, read_legacy
from encoders.text import nearest_words
from encoders.true_labels import TrueLabels
from utils.errors import UserError
from utils.files import read_json
from utils.label_metrics import LabelScores, confusion_matrix, f3dgs_scores, label3dgs_scores, mean_scores

Protocol = Literal["f3dgs", "label3dgs", "standard"]
F3DGS_SIZE = (119, 159)  # (h, w), that of the NeRF it compared with
TEST_EVERY, TEST_FIRST = 8, 2  # views that Feature 3DGS holds out
LABELS = "_label_CxHxW.pt"

IdsOf = Callable[[Path], np.ndarray]  # file -> class ids [h, w]


@dataclass(frozen=True)
class Pair:
    """Two files about one image."""

    name: str
    student: Path
    teacher: Path


def pair_files(student: Path, teacher: Path, ending: str, mode: str = "test") -> list[Pair]:
    """Files of two folders with this ending, image by image.

    By name where the student's `manifest.json` (one folder up) tells it. Else by order, as Feature 3DGS does: the
    teacher's files by the numbers in their names, in mode `test` every eighth from the third.
    """
    ours, theirs = _files(student, ending), _files(teacher, ending)
    manifest = student.resolve().parent / "manifest.json"
    if manifest.is_file():
        by_key = {image_key(path.name.removesuffix(ending)): path for path in theirs}
        names = {f"{frame['index']:05d}": frame["image_name"] for frame in read_json(manifest)["frames"]}
        return [_named_pair(path, names.get(path.name.removesuffix(ending), ""), by_key, teacher) for path in ours]
    theirs = sorted(theirs, key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)])
    theirs = theirs[TEST_FIRST::TEST_EVERY] if mode == "test" else theirs
    if len(ours) != len(theirs):
        raise UserError(
            f"{student} has {len(ours)} maps, {teacher} {len(theirs)} in mode {mode}; expected equal numbers; "
            "render with render.py, whose manifest.json tells which is which"
        )
    return [Pair(path.stem, path, other) for path, other in zip(ours, theirs, strict=True)]


def _files(folder: Path, ending: str) -> list[Path]:
    found = sorted(folder.glob(f"*{ending}"))
    if not found:
        raise UserError(f"{folder} has no *{ending} file; expected one per image; check the folder")
    return found


def _named_pair(path: Path, image_name: str, teachers: dict[str, Path], folder: Path) -> Pair:
    key = find_key(image_name, teachers) if image_name else None
    if key is None:
        raise UserError(f"{path} shows image '{image_name}', of which {folder} has no map; make the teacher's maps")
    return Pair(image_name, path, teachers[key])


def feature_ids(words: Tensor) -> IdsOf:
    """Class ids of feature maps: the word [K, C] with the largest cosine."""
    return lambda path: nearest_words(read_legacy(path).float(), words).numpy()


def resize_ids(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Label map at another (h, w), by the nearest pixel centre."""
    rows, columns = (
        np.minimum(((np.arange(to) + 0.5) * was / to).astype(int), was - 1)
        for to, was in zip(size, ids.shape, strict=True)
    )
    return ids[rows[:, None], columns]


def score_pairs(pairs: Sequence[Pair], ids_of: IdsOf, classes: Sequence[str], protocol: Protocol) -> dict[str, Any]:
    """Agreement of the student with the teacher, and for f3dgs and label3dgs of every image."""
    maps = ((pair.name, ids_of(pair.student), ids_of(pair.teacher)) for pair in pairs)
    if protocol == "standard":
        return confusion_scores(((student, teacher) for _, student, teacher in maps), classes)
    per_image = {name: _image_scores(student, teacher, len(classes), protocol) for name, student, teacher in maps}
    rows = {name: {"accuracy": accuracy, "miou": miou} for name, (accuracy, miou) in per_image.items()}
    return mean_scores(per_image.values()) | {"per_image": rows}


def _image_scores(student: np.ndarray, teacher: np.ndarray, count: int, protocol: Protocol) -> tuple[float, float]:
    if protocol == "f3dgs":
        return f3dgs_scores(resize_ids(student, F3DGS_SIZE) + 1, resize_ids(teacher, F3DGS_SIZE) + 1)
    return label3dgs_scores(student, resize_ids(teacher, student.shape), count)


def confusion_scores(maps: Iterable[tuple[np.ndarray, np.ndarray]], classes: Sequence[str]) -> dict[str, Any]:
    """Scores of one confusion matrix over all (found, true) label maps; true maps are resized to the found ones."""
    total, images = 0, 0
    for found, true in maps:
        total = total + confusion_matrix(found, resize_ids(true, found.shape), len(classes))
        images += 1
    scores = LabelScores.of(total)
    present = {name: float(iou) for name, iou in zip(classes, scores.per_class_iou, strict=True) if not np.isnan(iou)}
    return {
        "miou": scores.miou,
        "fwiou": scores.fwiou,
        "accuracy": scores.accuracy,
        "mean_accuracy": scores.mean_accuracy,
        "images": images,
        "per_class_iou": present,
    }


def truth_ids(folder: Path, image_name: str, classes: Sequence[str]) -> np.ndarray | None:
    """Hand-made labels of an image as indices into `classes` by name, -1 elsewhere; None without a file."""
    return TrueLabels.open(folder).ids_among(image_name, classes)
