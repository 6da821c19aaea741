"""The modes of --mode: where the camera is, and when."""

from dataclasses import replace

import pytest
import torch

from gaussian_renderer.time_paths import TIME_MODES, mode_path, over_time, standing, wander
from tests.blobs import ring_cameras

VIEWS = [replace(camera, time=0.1 + index / 10) for index, camera in enumerate(ring_cameras(6))]


def path(mode, count=7):
    cameras = list(mode_path(mode, VIEWS, VIEWS[2], 4.0, count))
    assert len(cameras) == count
    for camera in cameras:
        rotation = camera.world_to_camera[:3, :3]
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(3), atol=1e-5, rtol=0)
        assert torch.linalg.det(rotation) > 0.99 and camera.info is None
    return cameras


def poses(cameras):
    return torch.stack([camera.world_to_camera for camera in cameras])


@pytest.mark.parametrize("mode", ["time", "all", "original"])
def test_time_runs_evenly_from_0_to_1(mode):
    assert [camera.time for camera in path(mode)] == pytest.approx([index / 6 for index in range(7)])


@pytest.mark.parametrize(("mode", "time"), [("view", 0.3), ("pose", 0.1)])
def test_time_stands_still(mode, time):
    assert {round(camera.time, 6) for camera in path(mode)} == {time}


def test_in_mode_time_the_camera_stands_still():
    torch.testing.assert_close(poses(path("time")), poses([VIEWS[2]] * 7))


def test_in_mode_pose_it_goes_from_the_first_view_to_the_last():
    torch.testing.assert_close(poses(path("pose"))[[0, -1]], poses([VIEWS[0], VIEWS[-1]]), atol=1e-5, rtol=0)


def test_in_mode_original_it_passes_through_every_view():
    torch.testing.assert_close(poses(path("original", 11))[::2], poses(VIEWS), atol=1e-5, rtol=0)


def test_in_mode_all_it_goes_around_at_the_distance_of_the_photographs():
    centres = torch.stack([camera.center for camera in path("all", 8)])
    torch.testing.assert_close(centres[:, [0, 2]].norm(dim=1), torch.full((8,), 4.0), atol=0.1, rtol=0)
    assert (centres[0] - centres[4]).norm() > 7.5, "the other side"


def test_a_wandering_view_keeps_what_it_looks_at_in_the_picture():
    """The point that was in the middle moves by a tenth of the width to each side; no view leaves the scene."""
    view, distance = VIEWS[0], 4.0
    path = list(wander(view, distance, 40))
    point = view.center + distance * view.world_to_camera[2, :3]
    columns = []
    for camera in path:
        seen = camera.world_to_camera[:3, :3] @ point + camera.world_to_camera[:3, 3]
        assert seen[2] > 0.9 * distance
        columns.append(float(camera.fx * seen[0] / seen[2] + camera.cx))
    middle, reach = view.width / 2, 0.1 * view.width
    assert max(columns) == pytest.approx(middle + reach, rel=0.02)
    assert min(columns) == pytest.approx(middle - reach, rel=0.02)
    assert (path[0].center - path[1].center).norm() < 2 * (path[-1].center - path[0].center).norm(), "it is closed"


def test_the_photographed_camera_is_not_changed():
    before = VIEWS[2].world_to_camera.clone()
    for mode in TIME_MODES:
        path(mode)
    assert torch.equal(VIEWS[2].world_to_camera, before) and VIEWS[2].time == pytest.approx(0.3)


def test_a_single_view_is_at_time_0():
    assert [camera.time for camera in over_time(standing(VIEWS[3], 1), 1)] == [0.0]


def test_the_numbers_of_views_are_those_of_deformable_3dgs():
    assert {name: mode.num_views for name, mode in TIME_MODES.items()} == {
        "time": 150,
        "view": 60,
        "all": 150,
        "pose": 520,
        "original": 1000,
    }
