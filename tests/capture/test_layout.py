from __future__ import annotations

import json

import pytest

from capture.layout import MARKER, camera_numbers, held_out, prepare_folder, write_cameras
from tests.capture.rigs import ring
from utils.errors import UserError


def test_numbers_come_from_the_names_or_the_order():
    assert camera_numbers(["cam_07", "cam_10"]) == [7, 10]
    assert camera_numbers(["left", "right"]) == [0, 1]
    assert camera_numbers(["a1", "b1"]) == [0, 1]


def test_who_is_held_out():
    names = [f"cam_{index:02d}" for index in range(16)]
    numbers = list(range(16))
    assert held_out(names, numbers, None) == [4, 12]
    assert held_out(names[:4], numbers[:4], None) == []
    assert held_out(names, numbers, ("3", "cam_01")) == [1, 3]
    assert held_out(names, numbers, ()) == []
    with pytest.raises(UserError, match="--test_cams 77"):
        held_out(names, numbers, ("77",))
    with pytest.raises(UserError, match="not all"):
        held_out(names[:2], [0, 1], ("0", "1"))


def test_files_of_others_are_never_removed(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="other files"):
        prepare_folder(tmp_path, overwrite=True)
    assert (tmp_path / "precious.txt").is_file()


def test_an_unfinished_folder_is_recognised_and_replaced_only_if_asked(tmp_path):
    prepare_folder(tmp_path, False)
    (tmp_path / "ims").mkdir()
    assert json.loads((tmp_path / MARKER).read_text()) == {"complete": False}
    with pytest.raises(UserError, match="unfinished data set"):
        prepare_folder(tmp_path, False)
    prepare_folder(tmp_path, True)
    assert not (tmp_path / "ims").exists()


def test_cameras_are_divided_and_listed_at_every_moment(tmp_path):
    write_cameras(tmp_path, ring(5), [2], 3)
    train, test = (json.loads((tmp_path / f"{split}_meta.json").read_text()) for split in ("train", "test"))
    assert train["cam_id"] == [[0, 1, 3, 4]] * 3 and test["cam_id"] == [[2]] * 3
    assert test["fn"] == [["2/000000.jpg"], ["2/000001.jpg"], ["2/000002.jpg"]]
    assert train["w2c"][1][3] == ring(5)[4].world_to_camera.tolist()
