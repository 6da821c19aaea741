"""Lists of image files."""

from __future__ import annotations

from scene.datasets.pictures import natural_key, pictures_in
from tests.scene.small_scenes import write_images


def test_numbers_in_names_count():
    names = ["cam10", "cam2", "cam", "b", "cam2b", "7", "cam02", "10"]
    assert sorted(names, key=natural_key) == ["7", "10", "b", "cam", "cam02", "cam2", "cam2b", "cam10"]


def test_pictures_of_a_folder(tmp_path):
    write_images(tmp_path, ["10.png", "9.JPG", "._9.png", "below/1.png"])
    (tmp_path / "notes.txt").write_text("no picture")
    assert [path.name for path in pictures_in(tmp_path)] == ["9.JPG", "10.png"]
    assert pictures_in(tmp_path / "nowhere") == []
