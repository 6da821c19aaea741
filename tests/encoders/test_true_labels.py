"""True label images are found in every layout, and only those of the picture that is asked about."""

import numpy as np
import pytest

from encoders.true_labels import TrueLabels
from tests.helpers import data_path
from utils.errors import UserError
from utils.files import write_json
from utils.image_io import write_png


def write_splits(root):
    """Masks beside the pictures of two splits whose pictures have the same names."""
    for number, split in enumerate(("train", "test"), start=1):
        write_png(root / split / "masks" / "r_0.png", np.full((2, 3), number, np.uint8))
    write_json(root / "class_mapping.json", {"0": "background", "1": "ball", "2": "wall"})


def test_masks_beside_the_pictures_are_those_of_their_split(tmp_path):
    write_splits(tmp_path)
    labels = TrueLabels.open(tmp_path)
    assert labels.ids_of("train/r_0.png").max() == 1 and labels.ids_of("test/r_0.png").min() == 2
    assert labels.ids_of("val/r_0.png") is None and labels.ids_of("train/r_1.png") is None
    assert labels.id_of("wall") == 2 and labels.id_of("7") == 7


def test_the_masks_of_one_split_are_of_that_split_only(tmp_path):
    write_splits(tmp_path)
    labels = TrueLabels.open(tmp_path / "test" / "masks")
    assert labels.path_of("train/r_0.png") is None
    assert labels.path_of("test/r_0.png") == tmp_path / "test" / "masks" / "r_0.png"
    assert labels.names[1] == "ball"


@pytest.mark.parametrize("place", ["", "labels"])
def test_a_folder_of_labels_is_found_in_its_data_set(tmp_path, place):
    write_splits(tmp_path)
    write_png(tmp_path / "labels" / "train__r_0.png", np.array([[5, 255]], np.uint8))
    write_json(tmp_path / "labels" / "classes.json", {"5": "fox"})
    labels = TrueLabels.open(tmp_path / place)
    assert labels.ids_of("train/r_0.png").tolist() == [[5, -1]]
    assert labels.ids_among("train/r_0.png", ["bird", "fox"]).tolist() == [[1, -1]]
    assert labels.ids_among("x.png", ["fox"]) is None


@pytest.mark.parametrize("mapping", [["ball"], {"one": "ball"}, {"1": 3}])
def test_a_broken_mapping_is_one_line(tmp_path, mapping):
    write_splits(tmp_path)
    write_json(tmp_path / "class_mapping.json", mapping)
    with pytest.raises(UserError, match=r'class_mapping.json: expected \{"id": "name"\}'):
        TrueLabels.open(tmp_path)


def test_a_name_that_is_not_there_is_one_line(tmp_path):
    write_splits(tmp_path)
    with pytest.raises(UserError, match="object 'cat' is not in .*; known: 0 background, 1 ball, 2 wall"):
        TrueLabels.open(tmp_path).id_of("cat")


def test_the_masks_of_a_real_data_set_are_found():
    root = data_path("mujoco4d_scene4_occlusion")
    labels = TrueLabels.open(root)
    assert labels.names == {0: "background", 1: "sphere", 2: "wall"}
    assert labels.ids_of("train/r_0000.png").shape == (400, 400)
    assert labels.path_of("test/r_0000.png").parent == root / "test" / "masks"
