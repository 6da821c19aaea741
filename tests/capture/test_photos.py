"""What -s, -o and --video mean, and which photos there are."""

from __future__ import annotations

import pytest

from arguments.convert_params import ConvertParams
from capture.photos import check_masks, find_places, list_photos
from tests.scene.small_scenes import write_images
from utils.errors import UserError


def test_photos_are_in_input_or_in_the_folder_itself(tmp_path):
    write_images(tmp_path / "a/input", ["1.png"])
    write_images(tmp_path / "b", ["1.png"])
    for name, photos in (("a", "a/input"), ("b", "b")):
        places = find_places(ConvertParams(source_path=str(tmp_path / name)))
        assert (places.photos, places.output) == (tmp_path / photos, tmp_path / name)
        assert places.distorted == tmp_path / name / "distorted"
    places = find_places(ConvertParams(source_path=str(tmp_path / "a"), output=str(tmp_path / "c"), skip_matching=True))
    assert places.output == tmp_path / "c" and places.distorted == tmp_path / "a/distorted"


def test_a_video_is_named_by_either_flag(tmp_path):
    (tmp_path / "clip.mp4").touch()
    video, out = str(tmp_path / "clip.mp4"), str(tmp_path / "set")
    for options in (ConvertParams(video=video, output=out), ConvertParams(source_path=video, output=out),
                    ConvertParams(video=video, source_path=out)):  # fmt: skip
        places = find_places(options)
        assert (places.video, places.photos) == (tmp_path / "clip.mp4", tmp_path / "set/input")


@pytest.mark.parametrize(
    ("files", "options", "expected"),
    [
        ([], {}, "add -s FOLDER"),
        ([], {"source_path": "absent"}, "no such folder"),
        ([], {"source_path": "."}, "put them into .*input"),
        (["images/1.png"], {"source_path": "."}, "photos in images/.*rename it to input"),
        (["clip.mp4"], {"source_path": "."}, "add --video clip.mp4"),
        (["a.mp4", "b.mp4"], {"source_path": "."}, "2 videos .* --mode rig"),
        (["a.mp4"], {"source_path": "a.mp4"}, "add -o FOLDER"),
        (["a.txt"], {"source_path": "a.txt"}, "is a file"),
        ([], {"video": "absent.mp4", "output": "x"}, "absent.mp4: no such file"),
    ],
)
def test_what_cannot_be_meant_is_answered_with_advice(files, options, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch() if not name.endswith("png") else write_images(tmp_path, [name])
    with pytest.raises(UserError, match=expected):
        find_places(ConvertParams(**options))


def test_photos_of_one_size_share_a_lens_and_keep_their_folders(tmp_path):
    folder = tmp_path / "input"
    write_images(folder, ["b 10.png", "b 2.png", "sub/c.png", ".hidden/d.png"])
    write_images(folder, ["tall.png"], size=(16, 24))
    (folder / "notes.txt").touch()
    photos = list_photos(folder)
    assert photos.names == ["b 2.png", "b 10.png", "sub/c.png", "tall.png"]
    assert photos.groups == [["b 2.png", "b 10.png", "sub/c.png"], ["tall.png"]]
    write_images(tmp_path, ["top.png"])
    assert list_photos(tmp_path).names == ["top.png"]  # results beside the photos are not photos


def test_a_broken_photo_is_named(tmp_path):
    write_images(tmp_path, ["a.png"])
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match="b.jpg: not a readable image"):
        list_photos(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no photos"):
        list_photos(tmp_path / "empty")


def test_masks_are_found_by_name_and_must_fit(tmp_path):
    write_images(tmp_path / "input", ["a.jpg", "b.jpg", "c.jpg"])
    write_images(tmp_path / "masks", ["a.png", "b.jpg.png"], mode="RGB")
    masks = check_masks(list_photos(tmp_path / "input"), tmp_path / "masks")
    assert {name: path.name for name, path in masks.items()} == {"a.jpg": "a.png", "b.jpg": "b.jpg.png"}
    write_images(tmp_path / "masks", ["c.png"], size=(5, 5))
    with pytest.raises(UserError, match="masks of c.jpg have other sizes"):
        check_masks(list_photos(tmp_path / "input"), tmp_path / "masks")
    with pytest.raises(UserError, match="no mask of any photo"):
        check_masks(list_photos(tmp_path / "input"), tmp_path)
