"""Flags to paths."""

import json

import pytest

from arguments import RenderParams
from gaussian_renderer.camera_paths import FOLDERS, novel_paths
from scene.cameras import camera_record
from tests.blobs import ring_cameras
from utils.errors import UserError

CAMERAS = ring_cameras(4)


def paths(**options):
    found = {name: len(list(path)) for name, path in novel_paths(RenderParams(num_views=5, **options), CAMERAS)}
    assert set(found) <= set(FOLDERS)
    return found


def test_without_a_flag_there_is_none():
    assert paths() == {}


@pytest.mark.parametrize("flag", ["novel_view", "video"])
def test_both_paths_are_the_default(flag):
    assert paths(**{flag: True}) == {"novel_views": 5, "orbit": 5}


@pytest.mark.parametrize(
    ("path", "folder"),
    [("slerp", "novel_views"), ("lerp", "novel_views"), ("orbit", "orbit"), ("circle", "circle"), ("spiral", "spiral")],
)
def test_one_path(path, folder):
    assert paths(novel_view=True, path=path) == {folder: 5}


def test_in_betweens_take_the_place_of_the_path():
    assert paths(novel_view=True, multi_interpolate=True) == {"novel_views_multi_interpolate": 6}


def test_novel_video_needs_no_other_flag():
    assert paths(novel_video=True) == {"novel_video": 5}


def test_a_file_of_cameras(tmp_path):
    file = tmp_path / "cameras.json"
    file.write_text(json.dumps([camera_record(camera, 0) for camera in CAMERAS[:2]]))
    assert paths(novel_view=True, path="file", camera_path=str(file)) == {"camera_path": 2}
    for options in ({"path": "file"}, {"camera_path": str(file)}):
        with pytest.raises(UserError, match="belong together"):
            paths(novel_view=True, **options)


def test_no_view_at_all_is_refused():
    with pytest.raises(UserError, match="--num_views is 0"):
        novel_paths(RenderParams(num_views=0, novel_view=True), CAMERAS)
