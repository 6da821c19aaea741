import json

import numpy as np
import pytest
from PIL import Image

from encoders.base import SceneImages
from encoders.oracle import OracleTeacher, OracleWords, OracleWordsTeacher, label_vectors
from encoders.record import TeacherRecord
from encoders.text import encode_prompts, open_text_encoder
from tests.helpers import maps_of


def test_vectors_are_orthonormal_and_fixed():
    vectors = label_vectors(16)
    np.testing.assert_allclose(vectors[:16] @ vectors[:16].T, np.eye(16), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(label_vectors(3), axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors, label_vectors(16))
    assert (label_vectors(16, seed=1) != vectors).any()


def test_maps_are_exactly_the_vectors_of_the_labels(toy_scene, toy_images):
    maps = maps_of(OracleTeacher().encode_scene(toy_images))
    labels = np.asarray(Image.open(toy_scene / "labels/view_003.png"))
    np.testing.assert_array_equal(maps["view_003"], label_vectors(16)[labels])
    assert set(maps) == set(toy_images.paths)


def test_noise_has_the_asked_spread_and_repeats(toy_images):
    clean, noisy, again = (maps_of(OracleTeacher(noise=n).encode_scene(toy_images))["view_000"] for n in (0, 0.1, 0.1))
    np.testing.assert_array_equal(noisy, again)
    assert abs((noisy - clean).std() - 0.1) < 0.005


def test_flips_change_whole_labels_of_some_pictures(toy_scene, toy_images):
    teacher, changed = OracleTeacher(flips=0.3), 0
    for key, features, _ in teacher.encode_scene(toy_images):
        labels = np.asarray(Image.open(toy_scene / f"labels/{key}.png"))
        found = (features @ label_vectors(16)[:16].T).argmax(-1)
        taken_for = {label: set(np.unique(found[labels == label])) for label in np.unique(labels)}
        assert all(len(names) == 1 for names in taken_for.values())
        assert set().union(*taken_for.values()) <= set(taken_for)
        changed += sum(names != {label} for label, names in taken_for.items())
    assert changed > 0


def test_ignored_pixels_have_no_feature(tmp_path):
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "labels/a.png")
    features = maps_of(OracleTeacher().encode_scene(SceneImages(tmp_path, {"train__a": tmp_path / "a.png"})))[
        "train__a"
    ]
    assert not features[0, 1].any() and np.linalg.norm(features[0, 0]) == pytest.approx(1, abs=1e-5)


def test_missing_or_coloured_labels_are_one_line(tmp_path):
    images = SceneImages(tmp_path, {"a": tmp_path / "a.png"})
    with pytest.raises(ValueError, match="labels is missing"):
        OracleTeacher().inputs(images)
    (tmp_path / "labels").mkdir()
    with pytest.raises(ValueError, match="a.png is missing"):
        OracleTeacher().inputs(images)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 4, 3), np.uint8)).save(tmp_path / "labels/a.png")
    with pytest.raises(ValueError, match="colour picture"):
        list(OracleTeacher().encode_scene(images))
    for wrong in ({"noise": -1}, {"flips": 1.5}):
        with pytest.raises(ValueError, match="noise >= 0"):
            OracleTeacher(**wrong)


def test_words_are_where_the_labels_of_that_name_are(toy_scene, toy_images):
    names = {int(label): name for label, name in json.loads((toy_scene / "labels/classes.json").read_text()).items()}
    features = maps_of(OracleWordsTeacher(dim=256).encode_scene(toy_images))["view_003"]
    labels = np.asarray(Image.open(toy_scene / "labels/view_003.png"))
    words = open_text_encoder(TeacherRecord("oracle_words", 256, {"seed": 0}))
    assert isinstance(words, OracleWords)
    rows = encode_prompts(words, [names[label] for label in sorted(names)]).numpy()
    found = np.array(sorted(names))[(features @ rows.T).argmax(-1)]
    np.testing.assert_array_equal(found, labels)
    assert abs(float(rows[0] @ rows[1])) < 0.3


def test_words_without_names_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="classes.json is missing"):
        OracleWordsTeacher().vectors(tmp_path)
