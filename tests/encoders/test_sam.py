import numpy as np
import pytest
import torch
from PIL import Image

from encoders.base import SceneImages
from encoders.sam import SamTeacher
from encoders.sam_net.frame import Frame
from encoders.sam_net.image_encoder import SamEncoder, embed


def test_maps_hold_the_cells_on_the_picture(tmp_path, capsys):
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    teacher = SamTeacher(weights="random")
    (encoded,) = teacher.encode_scene(SceneImages(tmp_path, {"a": tmp_path / "a.png"}))
    assert encoded.features.shape == (43, 64, 256) and encoded.placement == Frame(60, 40).placement
    expected = embed(SamEncoder.random(), image)[:, :43].permute(1, 2, 0)
    np.testing.assert_allclose(encoded.features, expected, atol=1e-4)
    assert "random" in capsys.readouterr().err


def test_portraits_lose_columns():
    shown, placement = SamTeacher().place(torch.zeros(256, 64, 64), (1080, 1920))
    assert shown.shape == (256, 64, 36) and placement.dx > placement.dy


def test_options_name_the_model_and_the_file(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"1234")
    assert SamTeacher().options() == {"model": "vit_b", "weights": ""}
    assert SamTeacher(weights=str(path)).options() == {"model": "", "weights": "mine:4"}
    assert SamTeacher("vit_l").options()["model"] == "vit_l"


def test_wrong_models_and_files_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="expected vit_b, vit_l, vit_h"):
        SamTeacher("vit_x")
    with pytest.raises(ValueError, match="expected the path of sam_vit_b_01ec64.pth"):
        SamTeacher(weights=str(tmp_path / "none.pth")).build()
