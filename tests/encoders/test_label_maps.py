"""encoders/label_maps.py"""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from encoders.label_maps import label_files, open_label_maps, read_ids
from utils.errors import UserError
from utils.files import write_json


class Bomb:
    """Runs a command when unpickled, if it is let."""

    def __reduce__(self):
        return (os.system, ("echo exploded",))


def png(path, ids, mode=None):
    """Write ids as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(ids, np.uint8 if mode is None else mode)).save(path)
    return path


@pytest.fixture
def scene(tmp_path):
    """Three pictures with ids 7, 3 and 9; 9 only in the last; 255 = ignore."""
    labels = tmp_path / "labels"
    png(labels / "a.png", [[7, 3], [3, 255]])
    png(labels / "b.png", [[7, 7], [7, 7]])
    png(labels / "c.png", [[9, 3], [255, 7]])
    write_json(labels / "classes.json", {"3": "wall", "7": "tree", "9": "car", "0": "sky"})
    return tmp_path


def test_channels_are_the_ids_of_the_training_pictures(scene):
    maps = open_label_maps(scene, train_names=["a.jpg", "b.jpg"])
    assert (maps.ids, maps.classes) == ((3, 7), ("wall", "tree"))
    assert maps.get("a.jpg").tolist() == [[1, 0], [0, -1]] and maps.get("a").dtype == torch.int64
    assert maps.get("c.jpg").tolist() == [[-1, 0], [-1, 1]]  # 9 is in no training picture
    assert maps.names == ("a", "b", "c") and not maps.has("d.jpg")


def test_all_pictures_train_without_a_list_and_classes_need_no_names(scene):
    (scene / "labels" / "classes.json").unlink()
    assert open_label_maps(scene).classes == ("class 3", "class 7", "class 9")


def test_label_3dgs_files_win_over_pictures_and_are_found_in_their_place(scene):
    folder = scene / "rgb_feature_langseg"
    folder.mkdir()
    torch.save(torch.tensor([[0, 1, -1]]), folder / "a.v2_label_CxHxW.pt")
    torch.save(torch.tensor([[[300, 1, 1]]], dtype=torch.int16), folder / "b_label_CxHxW.pt")
    png(folder / "a_vis.png", [[1]])
    write_json(folder / "label_classes.json", ["sky", "road"])
    maps = open_label_maps(scene)
    assert maps.classes == ("sky", "road", "class 300")
    assert maps.get("a.jpg").tolist() == [[0, 1, -1]] and maps.get("b.jpg").tolist() == [[2, 1, 1]]


def test_a_folder_may_be_named(scene):
    assert open_label_maps("nowhere", scene / "labels").ids == (3, 7, 9)


def test_nested_names(tmp_path):
    png(tmp_path / "labels" / "train" / "r_0.png", [[1, 2]])
    png(tmp_path / "labels" / "test__r_0.png", [[2, 2]])
    maps = open_label_maps(tmp_path)
    assert maps.get("train/r_0.png").tolist() == [[0, 1]] and maps.get("test/r_0.png").tolist() == [[1, 1]]
    assert set(label_files(tmp_path / "labels")) == {"train__r_0", "test__r_0"}


@pytest.mark.parametrize("kind", ["grey", "indexed", "three equal channels", "16 bits"])
def test_kinds_of_pictures(tmp_path, kind):
    ids = np.array([[0, 200], [255, 3]], np.uint8)
    image = Image.fromarray(ids)
    expected = [[0, 200], [-1, 3]]
    if kind == "indexed":
        image = Image.fromarray(ids, mode="P")
        image.putpalette([7 * i % 256 for i in range(768)])
    elif kind == "three equal channels":
        image = Image.merge("RGB", [image] * 3)
    elif kind == "16 bits":
        image, expected = Image.fromarray(np.array([[0, 300], [65535, 255]], np.uint16)), [[0, 300], [-1, 255]]
    image.save(tmp_path / "a.png")
    assert read_ids(tmp_path / "a.png").tolist() == expected


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (torch.tensor([[0, 40_000]]), "label ids from 0 to 40000; expected -1"),
        (torch.tensor([[-2, 0]]), "label ids from -2 to 0"),
        (torch.rand(3, 4), "torch.float32; expected integer label ids"),
        (torch.zeros(3, 4, dtype=torch.bool), "torch.bool"),
        (torch.zeros(2, 3, 4, dtype=torch.long), r"shape \(2, 3, 4\); expected label ids \[h, w\]"),
        (torch.zeros(0, 4, dtype=torch.long), r"shape \(0, 4\)"),
        ({"labels": torch.zeros(3, 4)}, "holds a dict"),
        (Bomb(), "pickled Python objects"),
    ],
)
def test_bad_tensors_are_one_line(tmp_path, content, part, capfd):
    path = tmp_path / "a_label_CxHxW.pt"
    torch.save(content, path)
    with pytest.raises(UserError, match=part) as caught:
        open_label_maps(tmp_path, tmp_path)
    assert "a_label_CxHxW.pt" in str(caught.value) and "\n" not in str(caught.value)
    assert "exploded" not in capfd.readouterr().out


@pytest.mark.parametrize("name", ["a_label_CxHxW.pt", "a.png"])
def test_truncated_files_are_one_line(tmp_path, name):
    if name.endswith("pt"):
        torch.save(torch.randint(0, 9, (64, 64)), tmp_path / name)
    else:
        png(tmp_path / name, np.random.default_rng(0).integers(0, 9, (64, 64)))
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=name):
        open_label_maps(tmp_path, tmp_path)


def test_a_colour_picture_is_refused(tmp_path):
    png(tmp_path / "a.png", np.random.default_rng(0).integers(0, 9, (4, 4, 3)))
    with pytest.raises(UserError, match="colour picture; expected label ids"):
        read_ids(tmp_path / "a.png")


def test_nothing_to_learn_from(scene, tmp_path):
    with pytest.raises(UserError, match="no label map for any training picture"):
        open_label_maps(scene, train_names=["z.jpg"])
    with pytest.raises(UserError, match="1 classes; expected at least 2"):
        open_label_maps(scene, train_names=["b.jpg"])
    with pytest.raises(UserError, match=r"no label maps; expected .* in features/label, .*; name their folder"):
        open_label_maps(tmp_path / "empty")
    with pytest.raises(UserError, match="no label map for image 'z.jpg'"):
        open_label_maps(scene).get("z.jpg")


@pytest.mark.parametrize("names", [{"a": "wall"}, ["wall", 3], "wall", {"1": None}])
def test_malformed_names_are_one_line(scene, names):
    write_json(scene / "labels" / "classes.json", names)
    with pytest.raises(UserError, match=r"classes\.json: expected a list of class names"):
        open_label_maps(scene)
