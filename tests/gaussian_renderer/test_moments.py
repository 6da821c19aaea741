"""The time of a moving scene in files and films."""

from dataclasses import replace

import pytest
import torch

from gaussian_renderer import render
from gaussian_renderer.anchors import project
from gaussian_renderer.frames import Frame
from gaussian_renderer.moments import Moments, in_time_order, with_tails
from gaussian_renderer.tracks import Tracks
from scene.formats import read_splats
from tests.blobs import REFERENCE, blob_labels
from tests.moving_blobs import moving_blobs, timed_ring

MODEL = moving_blobs()
TIMES = [index / 10 for index in range(11)]
RED = blob_labels() == 0


def frame_at(time, camera=None):
    camera = replace(camera or timed_ring(4)[0], time=time)
    with torch.no_grad():
        return Frame(0, camera, render(camera, MODEL, settings=REFERENCE))


def tails(time, indices):
    """Pixels [H, W] bool that tails change in a picture at some time."""
    tracks = Tracks.of(MODEL, RED.long(), indices, TIMES)
    frame = frame_at(time)
    return (with_tails(lambda frame: frame.color, tracks)(frame) != frame.color).any(0), frame


def test_files_are_the_selection_at_their_moments(tmp_path):
    moments = Moments(TIMES, 0.0, timed_ring(4)[0], max_tracks=5, num_plys=2)
    (tmp_path / "00004.ply").write_text("of an earlier selection")
    moments.write_plys(tmp_path, MODEL, RED)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.ply", "00010.ply"]
    last = read_splats(tmp_path / "00010.ply")
    torch.testing.assert_close(torch.from_numpy(last.xyz), MODEL.at(1.0).means[RED].detach())
    assert "semantic_feature" not in last.named()


def test_the_fixed_view_stands_still_while_time_runs():
    view = timed_ring(4)[2]
    path = list(Moments(TIMES, 0.0, view, 5, 2).fixed_path())
    assert [camera.time for camera in path] == TIMES
    assert all(torch.equal(camera.world_to_camera, view.world_to_camera) for camera in path)


def test_views_are_ordered_by_time_at_one_size():
    cameras = timed_ring(4)
    mixed = [cameras[2].resized(20, 10), cameras[0], cameras[3], cameras[1]]
    ordered = in_time_order(mixed)
    assert [camera.time for camera in ordered] == [camera.time for camera in cameras]
    assert {(camera.width, camera.height) for camera in ordered} == {(48, 40)}


def test_a_tail_shows_where_a_visible_gaussian_was():
    frame = frame_at(1.0)
    shown = frame.output.median_ids[frame.output.median_ids >= 0]
    index = shown[RED[shown.long()]][:1].long()
    changed, frame = tails(1.0, index)
    way = torch.stack([MODEL.at(time).means[index[0]] for time in TIMES]).detach()
    pixels = project(frame.camera, way)[0].floor().long()
    for x, y in pixels[:-1].tolist():
        assert changed[y, x]
    assert changed.sum() < 3 * (pixels[0] - pixels[-1]).abs().max(), "a line, not a cloud"


@pytest.mark.parametrize("time, indices", [(0.0, [0]), (1.0, [])])
def test_no_tail_at_the_start_and_without_tracks(time, indices):
    assert not tails(time, torch.tensor(indices, dtype=torch.long))[0].any()


def test_what_is_hidden_has_no_tail():
    """Gaussians on the far side of the ball."""
    frame = frame_at(1.0)
    depth = project(frame.camera, MODEL.at(1.0).means.detach())[1]
    behind = torch.where(RED, depth, torch.tensor(0.0)).argmax()
    assert not tails(1.0, behind[None])[0].any()
