"""Scores of the masks of a selection."""

import numpy as np
import pytest

from encoders.mask_scores import at_moments, resolve_object, score_masks
from encoders.true_labels import TrueLabels
from tests.selection_folders import write_masks
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.image_io import write_png


@pytest.fixture
def labels(tmp_path):
    return tmp_path / "labels"


def selection(tmp_path):
    return tmp_path / "segment" / "toy"


def test_without_a_name_the_clicked_object_is_meant(tmp_path, labels):
    write_masks(tmp_path, labels, {"a": "train"})
    manifest, truth = read_json(selection(tmp_path) / "selection.json"), TrueLabels.open(labels)
    assert resolve_object(truth, "", manifest) == 2
    assert resolve_object(truth, "7", manifest) == 7
    with pytest.raises(UserError, match="known: 0 nothing, 2 toy"):
        resolve_object(truth, "ball", manifest)


def test_plain_masks_need_no_object(tmp_path, labels):
    write_masks(tmp_path, labels, {"a": "train"})
    (labels / "classes.json").unlink()
    mask = np.zeros((10, 20), np.uint8)
    mask[:, :12] = 255
    write_png(labels / "a.png", mask)
    scores, _ = score_masks(selection(tmp_path), TrueLabels.open(labels), "")
    assert scores["IoU"] == 1.0 and scores["object"] is None


def test_labels_of_another_size_are_resized(tmp_path, labels):
    write_masks(tmp_path, labels, {"a": "train"})
    write_png(labels / "a.png", np.full((20, 40), 2, np.uint8))
    assert score_masks(selection(tmp_path), TrueLabels.open(labels), "toy")[0]["IoU"] == pytest.approx(12 / 20)


def test_labels_of_views_in_folders_are_found_by_their_last_name(tmp_path, labels):
    write_masks(tmp_path, labels, {"train__a": "train"})
    (labels / "train__a.png").rename(labels / "a.png")
    assert score_masks(selection(tmp_path), TrueLabels.open(labels), "toy")[0]["views"] == 1


def test_a_selection_without_its_description_is_named(tmp_path, labels):
    write_masks(tmp_path, labels, {"a": "train"})
    write_json(selection(tmp_path) / "selection.json", {"views": []})
    with pytest.raises(UserError, match="lacks click_size, click_view, points; run segment.py again"):
        score_masks(selection(tmp_path), TrueLabels.open(labels), "toy")


def test_views_of_other_pictures_are_one_line(tmp_path, labels):
    write_masks(tmp_path, labels, {"a": "train"})
    (labels / "a.png").rename(labels / "z.png")
    with pytest.raises(UserError, match=r"no label of any view, e.g. of a.jpg"):
        score_masks(selection(tmp_path), TrueLabels.open(labels), "toy")


def test_a_moving_scene_has_a_score_for_every_moment(tmp_path, labels):
    """Views a and b share a moment; a is half right (10 of 20 columns), b and c are as in `write_masks` (10 of 12)."""
    write_masks(tmp_path, labels, {"a": "train", "b": "train", "c": "test"})
    truth = np.zeros((10, 20), np.uint8)
    truth[:, :6] = 2
    write_png(labels / "a.png", truth)
    path = selection(tmp_path) / "selection.json"
    manifest = read_json(path)
    for view, time in zip(manifest["views"], (0.5, 0.5, 0.0), strict=True):
        view["time"] = time
    write_json(path, manifest)
    scores, per_view = score_masks(selection(tmp_path), TrueLabels.open(labels), "toy")
    halves = (6 / 12 + 10 / 12) / 2
    assert list(per_view["IoU_at"]) == ["0.0000", "0.5000"]
    assert per_view["IoU_at"] == {"0.0000": pytest.approx(10 / 12), "0.5000": pytest.approx(halves)}
    assert scores["IoU_over_time"] == pytest.approx((10 / 12 + halves) / 2)
    assert scores["IoU_worst_moment"] == pytest.approx(halves) and scores["IoU_test"] == pytest.approx(10 / 12)


def test_moments_rise():
    views = [{"key": str(n), "time": time} for n, time in enumerate((1.0, 0.25, 0.25))]
    assert list(at_moments(views, {"0": 0.1, "1": 0.2, "2": 0.4}).items()) == [
        ("0.2500", pytest.approx(0.3)),
        ("1.0000", pytest.approx(0.1)),
    ]
