"""Flags to paths."""

import json
from dataclasses import replace

import pytest

from arguments import RenderParams
from gaussian_renderer.camera_paths import FOLDERS, novel_paths, spiral_path
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


def times(*, moving, folder="orbit", **options):
    """Times of the three cameras of a path past five photographs."""
    photographs = [replace(camera, time=index / 4 * moving) for index, camera in enumerate(ring_cameras(5))]
    paths = dict(novel_paths(RenderParams(novel_view=True, num_views=3, **options), photographs))
    return [camera.time for camera in paths[folder]]


@pytest.mark.parametrize("path", ["orbit", "circle", "spiral"])
def test_time_runs_along_paths_past_a_moving_scene(path):
    assert times(moving=1, path=path, folder=path) == pytest.approx([0, 0.5, 1])
    assert times(moving=0, path=path, folder=path) == [0, 0, 0]


def test_paths_through_photographs_have_their_times():
    assert times(moving=0.6, path="slerp", folder="novel_views") == pytest.approx([0, 0.3, 0.6])


@pytest.mark.parametrize("path", ["slerp", "orbit"])
def test_time_can_be_stopped(path):
    assert times(moving=1, folder={"slerp": "novel_views"}.get(path, path), path=path, time=0.7) == [0.7] * 3


def test_the_spiral_of_a_video_runs_through_time():
    views = [replace(camera, time=index / 3) for index, camera in enumerate(CAMERAS)]
    assert [camera.time for camera in spiral_path(RenderParams(), views, 3)] == pytest.approx([0, 0.5, 1])
    assert [camera.time for camera in spiral_path(RenderParams(time=0.2), views, 2)] == [0.2, 0.2]


def test_paths_are_as_long_as_in_feature_3dgs():
    assert {len(list(path)) for _, path in novel_paths(RenderParams(novel_view=True), CAMERAS)} == {200}


def test_paths_are_saved_on_the_way(tmp_path):
    assert paths(novel_view=True, path="orbit", save_path=str(tmp_path / "a.json")) == {"orbit": 5}
    assert paths(novel_view=True, path="file", camera_path=str(tmp_path / "a.json")) == {"camera_path": 5}
    assert paths(novel_view=True, save_path=str(tmp_path / "b.nerfstudio.json")) == {"novel_views": 5, "orbit": 5}
    assert {path.name for path in tmp_path.glob("b*")} == {"b_orbit.nerfstudio.json", "b_novel_views.nerfstudio.json"}
    for options in ({"save_path": "a.json"}, {"novel_view": True, "save_path": "folder"}):
        with pytest.raises(UserError, match="--save_path"):
            paths(**options)
