import numpy as np
import pytest
import torch
from PIL import Image

from encoders import make_teacher
from encoders.base import Placement, SceneImages
from encoders.dinov2 import Dinov2Teacher
from encoders.dinov3 import Dinov3Teacher


def picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


def test_pictures_become_whole_patches():
    assert Dinov2Teacher().prepare(picture(1920, 1080)).shape == (3, 532, 952)
    assert Dinov2Teacher(tokens_long=5).prepare(picture(40, 60)).shape == (3, 70, 42)
    assert Dinov2Teacher(tokens_long=3).prepare(picture(900, 9)).shape == (3, 14, 42)
    assert Dinov3Teacher().prepare(picture(1920, 1080)).shape == (3, 544, 960)


def test_pictures_are_normalised_as_in_imagenet():
    pixels = Dinov2Teacher(tokens_long=2).prepare(np.full((28, 28, 3), 255, np.uint8))
    expected = (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(pixels[:, 3, 4], expected, rtol=1e-5)


def test_dgd_crops_whole_patches_around_the_centre():
    image, teacher = picture(100, 71), Dinov2Teacher(compat="dgd")
    pixels = teacher.prepare(image)
    expected = (image[0:70, 1:99].astype(np.float32) / 255 - 0.5) / 0.2
    np.testing.assert_allclose(pixels.permute(1, 2, 0), expected, atol=1e-6)
    features = torch.zeros(384, 5, 7)
    shown, placement = teacher.place(features, (100, 71))
    assert shown is features
    assert placement == pytest.approx(Placement((1 + 7) / 100, 14 / 100, 7 / 71, 14 / 71))
    with pytest.raises(ValueError, match="no whole patch of 14 px"):
        teacher.prepare(picture(100, 13))


def test_maps_cover_the_picture_edge_to_edge():
    assert Dinov2Teacher().place(torch.zeros(384, 2, 3), (90, 60))[1] is None


def test_widths_and_names():
    assert [Dinov2Teacher(f"vit{letter}14").dim for letter in "sblg"] == [384, 768, 1024, 1536]
    assert make_teacher("DINOv2").name == "dinov2"
    assert make_teacher("dinov3", {"model": "vitb16"}).dim == 768
    assert Dinov2Teacher("timm:vit_tiny_patch16_224").dim == 192


def test_options_say_what_decides_the_maps(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"1234")
    assert Dinov2Teacher().options()["pos_interp"] == "native"
    assert Dinov2Teacher("vits14_reg4").options()["pos_interp"] == "timm"  # it has one way only
    assert Dinov2Teacher(compat="dgd", tokens_long=5).options() == Dinov2Teacher(compat="dgd").options()
    assert Dinov2Teacher(weights=str(tmp_path / "mine.pth")).options()["weights"] == "mine:4"
    assert Dinov2Teacher().options() != Dinov2Teacher(pos_interp="timm").options()


@pytest.mark.parametrize("wrong", [{"compat": "x"}, {"pos_interp": "bicubic"}, {"tokens_long": 0}, {"model": "s"}])
def test_wrong_options_are_one_line(wrong):
    with pytest.raises(ValueError, match="; expected "):
        Dinov2Teacher(**wrong)


def test_a_scene_is_encoded(tmp_path, capsys):
    paths = {}
    for key, size in (("a", (60, 40)), ("b", (60, 40)), ("c", (40, 60))):
        paths[key] = tmp_path / f"{key}.png"
        Image.fromarray(picture(*size)).save(paths[key])
    teacher = Dinov2Teacher("timm:vit_tiny_patch16_224", tokens_long=6, weights="random")
    maps = {encoded.key: encoded.features for encoded in teacher.encode_scene(SceneImages(tmp_path, paths))}
    assert {key: features.shape for key, features in maps.items()} == {
        "a": (4, 6, 192),
        "b": (4, 6, 192),
        "c": (6, 4, 192),
    }
    np.testing.assert_allclose(maps["a"], maps["b"], atol=1e-5)
    assert np.abs(maps["a"][0, 0] - maps["a"][3, 5]).max() > 0.01
    assert "random weights" in capsys.readouterr().err
