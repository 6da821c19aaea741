from __future__ import annotations

import numpy as np
import pytest

from utils.label_metrics import LabelScores, confusion_matrix, f3dgs_scores, label3dgs_scores, mean_scores

TEACHER, STUDENT = np.array([[1, 1], [2, 2]]), np.array([[1, 2], [2, 2]])


def test_the_published_example():
    accuracy, miou = f3dgs_scores(STUDENT, TEACHER)
    assert accuracy == 0.75 and miou == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_three_pairs_of_classes_are_one():
    assert f3dgs_scores(np.array([[90, 29, 58]]), np.array([[15, 4, 40]])) == (1.0, 1.0)


def test_only_the_seven_most_frequent_labels_count():
    teacher = np.repeat(np.arange(1, 9), [9, 9, 9, 9, 9, 9, 9, 1])[None]
    student = teacher.copy()
    student[teacher == 8] = 1
    assert f3dgs_scores(student, teacher)[1] == pytest.approx((6 + 9 / 10) / 7)


def test_absent_classes_do_not_count():
    assert label3dgs_scores(STUDENT, TEACHER, 66) == (0.75, pytest.approx((1 / 2 + 2 / 3) / 2))


def test_scores_of_a_confusion_matrix_are_those_of_masks():
    rng = np.random.default_rng(0)
    truth, labels = rng.integers(0, 5, (40, 30)), rng.integers(0, 5, (40, 30))
    truth[:3] = 255
    labels[10] = -1
    scores = LabelScores.of(confusion_matrix(labels, truth, 6))
    valid = truth != 255
    ious = [((labels == c) & (truth == c))[valid].sum() / ((labels == c) | (truth == c))[valid].sum() for c in range(5)]
    shares = [(truth == c).sum() / valid.sum() for c in range(5)]
    np.testing.assert_allclose(scores.per_class_iou[:5], ious)
    assert np.isnan(scores.per_class_iou[5])
    assert scores.miou == pytest.approx(np.mean(ious)) and scores.fwiou == pytest.approx(np.dot(ious, shares))
    assert scores.accuracy == pytest.approx((labels == truth)[valid].mean())
    recall = [(labels == c)[truth == c].mean() for c in range(5)]
    assert scores.mean_accuracy == pytest.approx(np.mean(recall))


def test_perfect_and_empty():
    assert LabelScores.of(confusion_matrix(TEACHER, TEACHER, 3)).miou == 1
    assert np.isnan(LabelScores.of(confusion_matrix(TEACHER, np.full((2, 2), 255), 3)).miou)
    assert mean_scores([(1.0, 0.5), (0.5, float("nan"))]) == {"accuracy": 0.75, "miou": 0.5, "images": 2}
    with pytest.raises(ValueError, match="shapes"):
        f3dgs_scores(TEACHER, TEACHER[:1])
