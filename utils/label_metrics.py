"""Scores of label maps: dataset-level confusion matrices, and the per-image rules of Feature 3DGS and Label-3DGS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

MERGED_CLASSES = {90: 15, 29: 4, 58: 40}  # television -> door, rug -> floor, pillow -> cushion; ids from 1
MOST_FREQUENT = 7  # labels of an image that Feature 3DGS scores


@dataclass(frozen=True)
class LabelScores:
    """What a confusion matrix says; classes that are neither predicted nor true have NaN and do not count."""

    per_class_iou: np.ndarray  # [K]
    per_class_accuracy: np.ndarray  # [K] share of each true class that was found
    miou: float
    fwiou: float  # IoU weighted by how frequent a class truly is
    accuracy: float
    mean_accuracy: float

    @classmethod
    def of(cls, confusion: np.ndarray) -> LabelScores:
        """From counts [K, K + 1] (see `confusion_matrix`)."""
        hit, true, found = np.diag(confusion).astype(float), confusion.sum(1), confusion.sum(0)[:-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            iou, recall = hit / (true + found - hit), hit / true
            total = confusion.sum()
            weighted = float(np.nansum(iou * true) / total) if total else float("nan")
            accuracy = float(hit.sum() / total) if total else float("nan")
        return cls(iou, recall, _mean(iou), weighted, accuracy, _mean(recall))


def confusion_matrix(labels: np.ndarray, truth: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts [K, K + 1] int64, rows true and columns predicted; the last column is for predictions outside 0..K-1.

    Pixels whose truth is outside 0..K-1 are left out.
    """
    _check_shapes(labels, truth)
    known = (truth >= 0) & (truth < num_classes)
    found = np.where((labels >= 0) & (labels < num_classes), labels, num_classes)[known].astype(np.int64)
    pairs = truth[known].astype(np.int64) * (num_classes + 1) + found
    return np.bincount(pairs, minlength=num_classes * (num_classes + 1)).reshape(num_classes, num_classes + 1)


def f3dgs_scores(student: np.ndarray, teacher: np.ndarray) -> tuple[float, float]:
    """(accuracy, mIoU) of one image as Feature 3DGS publishes them; ids of ADE20K from 1.

    Three pairs of classes are merged. The mIoU is the mean over the seven most frequent labels of both maps together.
    """
    _check_shapes(student, teacher)
    student, teacher = merged(student), merged(teacher)
    ids, counts = np.unique(np.concatenate([teacher.ravel(), student.ravel()]), return_counts=True)
    chosen = ids[np.argsort(-counts, kind="stable")[:MOST_FREQUENT]]
    return float((student == teacher).mean()), _mean(np.array([_iou(student, teacher, label) for label in chosen]))


def label3dgs_scores(student: np.ndarray, teacher: np.ndarray, num_classes: int) -> tuple[float, float]:
    """(accuracy, mIoU) of one image as Label-3DGS scores them: the mean over the classes present in either map."""
    scores = LabelScores.of(confusion_matrix(student, teacher, num_classes))
    return float((student == teacher).mean()), scores.miou


def merged(labels: np.ndarray, pairs: Mapping[int, int] = MERGED_CLASSES) -> np.ndarray:
    """The label map with some classes counted as others."""
    result = labels.copy()
    for old, new in pairs.items():
        result[labels == old] = new
    return result


def mean_scores(pairs: Iterable[tuple[float, float]]) -> dict[str, float]:
    """Means over images of (accuracy, mIoU)."""
    rows = np.array(list(pairs))
    return {"accuracy": _mean(rows[:, 0]), "miou": _mean(rows[:, 1]), "images": len(rows)}


def _iou(a: np.ndarray, b: np.ndarray, label: int) -> float:
    in_a, in_b = a == label, b == label
    union = (in_a | in_b).sum()
    return float((in_a & in_b).sum() / union) if union else float("nan")


def _mean(values: np.ndarray) -> float:
    """Mean of those that are not NaN."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _check_shapes(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise ValueError(f"label maps have shapes {a.shape} and {b.shape}; expected the same; resize one")
