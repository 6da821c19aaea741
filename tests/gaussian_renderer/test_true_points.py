"""True tracks from files: where they start, which cameras know them, and what is wrong with bad ones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gaussian_renderer.true_points import read_true_points
from gaussian_renderer.view_paths import ViewPath
from scene.scene_info import CameraInfo
from tests.blobs import ring_cameras
from utils.errors import UserError

MOMENTS = [0.0, 0.25, 0.5, 0.75, 1.0]


def read(path, first_frame=0, sequence=""):
    return read_true_points(path, MOMENTS, first_frame, sequence)


def write_json(tmp_path, content):
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(content))
    return path


def test_points_start_where_they_are_first_seen(tmp_path):
    visible = np.zeros((3, 2, 4), bool)
    visible[0, 1, 0] = visible[2, 0, 1] = visible[1:, :, 3] = True
    points = np.random.default_rng(0).normal(size=(3, 4, 3))
    np.savez(tmp_path / "gt.npz", times=[0, 0.5, 1], points=points, labels=[1, 2, 3, 4], visible=visible)
    truth = read(tmp_path / "gt.npz")
    assert truth.start.tolist() == [0, 2, 1] and truth.labels.tolist() == [1, 2, 4], "the third is never seen"
    assert truth.cameras == (0, 1) and truth.visible.shape == (3, 2, 3)
    np.testing.assert_allclose(truth.points, points[:, [0, 1, 3]])
    np.savez(tmp_path / "gt.npz", times=[0, 0.5, 1], points=points, labels=[1, 2, 3, 4], visible=visible[:, 0])
    assert read(tmp_path / "gt.npz").cameras == (-1,)


def test_samples_in_space_are_moments_of_the_scene(tmp_path):
    track = [[0, 0, 1], [0, 0, 2], [0, 0, 3], [0, 0, 4]]
    late = [[None, None, None], [1, 1, 1], [1, 1, 2], [1, 1, 3]]
    path = write_json(tmp_path, {"boxes": {"a": track, "b": late}})
    truth = read(path, 2)
    assert truth.times.tolist() == [0.5, 0.75, 1.0] and truth.points.shape == (3, 2, 3), "the fourth is beyond the end"
    assert truth.start.tolist() == [0, 1] and truth.cameras == () and np.isnan(truth.points[0, 1]).all()


def test_samples_in_pictures_belong_to_their_camera(tmp_path):
    track = [[1, 2], [3, 4], [5, 6]]
    path = write_json(tmp_path, {"boxes": {"a": {"10": track, "2": track}, "b": {"2": track}}})
    truth = read(path, 1)
    assert truth.cameras == (2, 10) and truth.pixels.shape == (3, 2, 3, 2)
    assert truth.pixels[1, 1, 0].tolist() == [3.5, 4.5], "the file has the first pixel's centre at 0"
    assert np.isfinite(truth.pixels[0, :, :, 0]).tolist() == [[False, True, True], [True, False, False]]
    view = ring_cameras(1)[0]
    info = CameraInfo("", Path(), view.world_to_camera.numpy(), 1, 1, 1, 1, 2 * view.width, 4 * view.height)
    part = truth.of_cameras({2: ViewPath("2", (replace(view, info=info),))})
    assert part.cameras == (2,) and part.pixels.shape == (3, 1, 2, 2) and len(part.start) == 2
    assert part.pixels[1, 0, 0].tolist() == [1.75, 1.125], "at the size that training used"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected {sequence"),
        ({"a": []}, "expected {sequence"),
        ({"a": {}}, "no tracks in it"),
        ({"a": {"0": [[1, 2]]}}, "a track is"),
        ({"a": {"0": "text"}}, "a track is"),
        ({"a": {"0": [[1, 2, 3], [1, 2]]}}, "a track is"),
        ({"a": {"0": {"x": [[1, 2], [1, 2]]}}}, "expected {camera number"),
        ({"a": {"0": {"1": [[1, 2], [1, 2]]}, "1": [[1, 2, 3]]}}, "expected {camera number"),
        ({"a": {"0": [[1, 2, 3]] * 2, "1": [[1, 2, 3]] * 3}}, r"tracks have \[2, 3\] samples"),
        ({"a": {"0": {"1": [[1, 2]] * 2, "2": [[1, 2]] * 3}}}, r"tracks have \[2, 3\] samples"),
        ({"a": {"0": {"1": [[1, 2, 3], [1, 2, 3]]}}}, "2 numbers"),
    ],
)
def test_bad_json_is_one_line(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read(write_json(tmp_path, content))


def test_other_mistakes_are_one_line(tmp_path):
    path = write_json(tmp_path, {"a": {"0": [[1, 2, 3]] * 3}})
    with pytest.raises(UserError, match="--gt_first_frame is 4, the scene has 5 moments"):
        read(path, 4)
    with pytest.raises(UserError, match="'b'; expected one of a"):
        read(path, 0, "b")
    visible = np.zeros((2, 3, 4), bool)
    np.savez(tmp_path / "gt.npz", times=[0, 1], points=np.zeros((2, 4, 3)), labels=np.ones(4), visible=visible)
    with pytest.raises(UserError, match="no point of 4 is ever visible"):
        read(tmp_path / "gt.npz")
    np.savez(tmp_path / "gt.npz", times=[0, 1], points=np.zeros((2, 5, 3)), labels=np.ones(4), visible=visible)
    with pytest.raises(UserError, match="do not fit"):
        read(tmp_path / "gt.npz")
