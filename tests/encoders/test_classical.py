import numpy as np
import pytest
from PIL import Image

from encoders.base import SceneImages
from encoders.classical import ClassicalTeacher, paint
from tests.helpers import maps_of

OPTIONS = {"dim": 12, "segments": 250}
HELD_OUT = "view_002"


def unit(features):
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-9)


def best_iou(similarity, mask):
    order = np.argsort(-similarity.reshape(-1), kind="stable")
    hits = np.cumsum(mask.reshape(-1)[order])
    return (hits / (np.arange(1, mask.size + 1) + mask.sum() - hits)).max()


def click_ious(maps, folder, label, clicked, others):
    """Best-threshold IoU in `others` of the cosine with the mean feature of the object in the picture `clicked`."""
    masks = {key: np.asarray(Image.open(folder / f"labels/{key}.png")) == label for key in (clicked, *others)}
    query = unit(maps[clicked])[masks[clicked]].mean(axis=0)
    return [best_iou(unit(maps[key]) @ query, masks[key]) for key in others]


def test_maps_have_the_size_of_small_pictures_and_unit_length_inside(spectral_maps, toy_images):
    assert set(spectral_maps) == set(toy_images.paths)
    lengths = np.linalg.norm(spectral_maps["view_000"], axis=-1)
    assert spectral_maps["view_000"].shape == (60, 80, 12)
    assert lengths.max() < 1.001 and (lengths > 0.999).mean() > 0.3 and np.median(lengths) > 0.9


def test_the_same_pictures_give_the_same_features(spectral_maps, toy_images):
    again = maps_of(ClassicalTeacher(**OPTIONS).encode_scene(toy_images))
    for key, features in spectral_maps.items():
        np.testing.assert_array_equal(features, again[key])


def test_an_object_is_found_again_in_other_views(spectral_maps, toy_scene):
    others = ["view_000", "view_001", "view_003", "view_004"]
    for label in (1, 5):  # ground, mushroom
        assert np.mean(click_ious(spectral_maps, toy_scene, label, "view_000", others)) > 0.5


def test_extension_of_a_held_out_view_is_close_to_its_place_in_the_graph(spectral_maps, toy_images, toy_scene):
    everything = SceneImages(toy_scene, toy_images.paths, frozenset(toy_images.paths))
    joint = maps_of(ClassicalTeacher(**OPTIONS).encode_scene(everything))
    agree = (unit(spectral_maps[HELD_OUT]) @ unit(spectral_maps["view_003"]).reshape(-1, 12).T).reshape(60, 80, -1)
    expected = (unit(joint[HELD_OUT]) @ unit(joint["view_003"]).reshape(-1, 12).T).reshape(60, 80, -1)
    correlation = np.corrcoef(agree.reshape(-1), expected.reshape(-1))[0, 1]
    assert correlation > 0.8
    extended, inside = (
        np.mean([click_ious(maps, toy_scene, label, "view_003", [HELD_OUT])[0] for label in (1, 5, 8)])
        for maps in (spectral_maps, joint)
    )
    assert extended > inside - 0.1, (extended, inside)


def test_transparent_pixels_get_no_feature(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (40, 48, 4), np.uint8)
    picture[..., 3] = 0
    picture[5:35, 10:40, 3] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    images = SceneImages(tmp_path, {"a": tmp_path / "a.png"}, frozenset({"a"}))
    features = maps_of(ClassicalTeacher(**OPTIONS).encode_scene(images))["a"]
    lengths = np.linalg.norm(features, axis=-1)
    assert not lengths[:4].any() and lengths[8:32, 13:37].min() > 0


def test_paint_averages_pixels_of_a_cell():
    labels = np.array([[0, 0, 1, 1], [0, -1, 1, 0]])
    features = paint(labels, np.array([[1.0, 0.0], [0.0, 1.0]]), (2, 1))
    np.testing.assert_allclose(features, [[[0.75, 0.0], [0.25, 0.75]]])


@pytest.mark.parametrize("options", [{"dim": 0}, {"dim": 500}, {"segments": 2}])
def test_senseless_options_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        ClassicalTeacher(**options)


def test_pictures_without_content_or_training_set_are_one_line(tmp_path):
    Image.fromarray(np.zeros((20, 20, 4), np.uint8)).save(tmp_path / "empty.png")
    paths = {"empty": tmp_path / "empty.png"}
    with pytest.raises(ValueError, match="transparent"):
        list(ClassicalTeacher().encode_scene(SceneImages(tmp_path, paths, frozenset(paths))))
    with pytest.raises(ValueError, match="no training picture"):
        list(ClassicalTeacher().encode_scene(SceneImages(tmp_path, paths)))
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n0000")
    cut = {"cut": tmp_path / "cut.png"}
    with pytest.raises(ValueError, match="not a readable image"):
        list(ClassicalTeacher().encode_scene(SceneImages(tmp_path, cut, frozenset(cut))))
