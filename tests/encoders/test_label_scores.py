from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from encoders.label_maps import read_ids
from encoders.label_scores import (
    LABELS,
    Pair,
    confusion_scores,
    feature_ids,
    pair_files,
    resize_ids,
    score_pairs,
    truth_ids,
)
from encoders.rendered_views import SUFFIX as FEATURES

CLASSES = ("wall", "floor", "tree")


def write_features(folder, ids, words):
    folder.mkdir(parents=True, exist_ok=True)
    for name, labels in ids.items():
        torch.save(words[labels].permute(2, 0, 1).half(), folder / f"{name}{FEATURES}")


@pytest.fixture
def words() -> torch.Tensor:
    return torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))[0][:3]


def test_pairs_follow_the_manifest_where_there_is_one(tmp_path, words):
    ids = torch.zeros(2, 2, dtype=torch.long)
    write_features(tmp_path / "test/saved_feature", {"00000": ids, "00001": ids}, words)
    write_features(tmp_path / "teacher", {"b": ids, "a": ids, "c": ids}, words)
    frames = [{"index": 0, "image_name": "c.png"}, {"index": 1, "image_name": "sub/a.jpg"}]
    (tmp_path / "test/manifest.json").write_text(json.dumps({"frames": frames}))
    pairs = pair_files(tmp_path / "test/saved_feature", tmp_path / "teacher", FEATURES)
    assert [(pair.name, pair.teacher.name[0]) for pair in pairs] == [("c.png", "c"), ("sub/a.jpg", "a")]
    frames[0]["image_name"] = "d.png"
    (tmp_path / "test/manifest.json").write_text(json.dumps({"frames": frames}))
    with pytest.raises(ValueError, match=r"shows image 'd.png', of which .* has no map"):
        pair_files(tmp_path / "test/saved_feature", tmp_path / "teacher", FEATURES)


def test_pairs_without_a_manifest_are_every_eighth_by_number(tmp_path, words):
    ids = torch.zeros(1, 1, dtype=torch.long)
    write_features(tmp_path / "teacher", {f"frame_{n}": ids for n in range(20)}, words)
    write_features(tmp_path / "student", {f"{n:05d}": ids for n in range(3)}, words)
    pairs = pair_files(tmp_path / "student", tmp_path / "teacher", FEATURES)
    assert [pair.teacher.name.removesuffix(FEATURES) for pair in pairs] == ["frame_2", "frame_10", "frame_18"]
    with pytest.raises(ValueError, match="3 maps, .* 20 in mode train"):
        pair_files(tmp_path / "student", tmp_path / "teacher", FEATURES, "train")
    with pytest.raises(ValueError, match="has no .*_fmap"):
        pair_files(tmp_path, tmp_path / "teacher", FEATURES)


def test_protocols_on_features_whose_classes_are_known(tmp_path, words):
    teacher = torch.tensor([[0, 0, 1], [0, 1, 1]])
    student = torch.tensor([[0, 1, 1], [0, 1, 1]])
    write_features(tmp_path / "teacher", {"a": teacher}, words)
    write_features(tmp_path / "student", {"00000": student}, words)
    pairs = [Pair("a", tmp_path / f"student/00000{FEATURES}", tmp_path / f"teacher/a{FEATURES}")]
    ids_of = feature_ids(words)
    np.testing.assert_array_equal(ids_of(pairs[0].student), student.numpy())
    standard = score_pairs(pairs, ids_of, CLASSES, "standard")
    assert standard["accuracy"] == pytest.approx(5 / 6) and standard["miou"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert set(standard["per_class_iou"]) == {"wall", "floor"} and standard["images"] == 1
    label3dgs = score_pairs(pairs, ids_of, CLASSES, "label3dgs")
    assert label3dgs["per_image"]["a"] == {"accuracy": pytest.approx(5 / 6), "miou": pytest.approx((2 / 3 + 3 / 4) / 2)}
    f3dgs = score_pairs(pairs, ids_of, CLASSES, "f3dgs")  # at 119 x 159: halves of 59 and 60 rows
    agree = (resize_ids(student.numpy(), (119, 159)) == resize_ids(teacher.numpy(), (119, 159))).mean()
    assert f3dgs["accuracy"] == pytest.approx(agree) and abs(agree - 5 / 6) < 0.01


def test_resizing_takes_the_nearest_pixel_centre():
    ids = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(resize_ids(ids, (4, 6)), ids.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(resize_ids(ids.repeat(3, 0).repeat(3, 1), (2, 3)), ids)


def test_label_files_of_label3dgs(tmp_path):
    for folder, values in (("student", [[1, 2], [2, 2]]), ("teacher", [[1, 1], [2, 2]])):
        (tmp_path / folder).mkdir()
        torch.save(torch.tensor(values), tmp_path / folder / f"00000{LABELS}")
    pairs = pair_files(tmp_path / "student", tmp_path / "teacher", LABELS, "train")
    found = score_pairs(pairs, read_ids, [str(n) for n in range(66)], "label3dgs")
    assert found["accuracy"] == 0.75 and found["miou"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_truth_is_found_by_name(tmp_path):
    (tmp_path / "classes.json").write_text(json.dumps({"4": "tree", "7": "wall", "9": "sky"}))
    Image.fromarray(np.array([[4, 7, 9, 255]], np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(truth_ids(tmp_path, "train/a.jpg", CLASSES), [[2, 0, -1, -1]])
    assert truth_ids(tmp_path, "b.jpg", CLASSES) is None
    scores = confusion_scores([(np.array([[2, 0, 1, 1]]), truth_ids(tmp_path, "a.jpg", CLASSES))], CLASSES)
    assert scores["miou"] == 1
