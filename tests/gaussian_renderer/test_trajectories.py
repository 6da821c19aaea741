"""Paths pass through the cameras they are made of, stay rigid and look where they should."""

import math

import pytest
import torch

from gaussian_renderer.trajectories import (
    circle,
    in_betweens,
    lerp_path,
    level_up,
    orbit,
    scene_centre,
    slerp_path,
    sorted_by_name,
)
from tests.blobs import ring_cameras
from utils.errors import UserError


def assert_rigid(pose):
    torch.testing.assert_close(pose[:3, :3] @ pose[:3, :3].T, torch.eye(3), atol=1e-5, rtol=0)
    assert torch.linalg.det(pose[:3, :3]) > 0.99
    assert pose[3].tolist() == [0, 0, 0, 1]


def test_slerp_path_passes_through_every_key_in_name_order():
    keys = ring_cameras(5)
    path = list(slerp_path([keys[i] for i in (3, 0, 4, 1, 2)], num_views=4 * 3 + 1))
    assert len(path) == 13
    for key, found in zip(keys, path[::3], strict=True):
        torch.testing.assert_close(found.world_to_camera, key.world_to_camera, atol=1e-5, rtol=0)
    for camera in path:
        assert_rigid(camera.world_to_camera)
        assert camera.info is None


def test_slerp_path_of_a_circle_stays_near_the_circle():
    path = list(slerp_path(ring_cameras(12), num_views=111))[10:-10]
    radii = torch.stack([camera.center[[0, 2]].norm() for camera in path])
    steps = torch.stack([(a.center - b.center).norm() for a, b in zip(path[1:], path, strict=False)])
    assert (radii - 4).abs().max() < 0.02, "Catmull-Rom bends with the path; chords would lose 0.14"
    assert steps.max() < 1.3 * steps.min()


def test_in_betweens_leave_the_keys_out():
    keys = ring_cameras(4)
    path = list(in_betweens(keys, per_pair=2))
    assert [camera.image_name for camera in path] == [f"between_{i:05d}" for i in range(6)]
    gaps = [(camera.center - key.center).norm() for camera in path for key in keys]
    assert min(gaps) > 0.5


def test_a_path_does_not_reuse_the_pose_of_its_template():
    keys = ring_cameras(3)
    _ = keys[0].pinhole
    camera = list(slerp_path(keys, 2))[1]
    torch.testing.assert_close(camera.pinhole.world_to_camera, keys[2].world_to_camera, atol=1e-5, rtol=0)


def test_times_are_blended():
    from dataclasses import replace

    keys = [replace(camera, time=index / 2) for index, camera in enumerate(ring_cameras(3))]
    assert [camera.time for camera in slerp_path(keys, 5)] == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_one_camera_gives_a_standing_path():
    key = ring_cameras(1)
    for camera in [*slerp_path(key, 3), *orbit(key, 3)]:
        assert_rigid(camera.world_to_camera)
    assert list(in_betweens(key)) == []


def test_no_camera_is_one_line():
    with pytest.raises(UserError, match="no cameras"):
        next(slerp_path([], 3))


def test_scene_centre_is_where_the_axes_meet():
    torch.testing.assert_close(scene_centre(ring_cameras(6)), torch.zeros(3, dtype=torch.float64), atol=0.05, rtol=0)


@pytest.mark.parametrize("arc_rad", [2 * math.pi, 1.0, 0.3])
def test_up_is_level_also_when_all_cameras_look_down_from_one_side(arc_rad):
    up = level_up(ring_cameras(9, arc_rad=arc_rad))
    torch.testing.assert_close(up.float(), torch.tensor([0.0, -1.0, 0.0]), atol=0.05, rtol=0)


def test_orbit_goes_all_around_at_the_height_of_the_cameras():
    path = list(orbit(ring_cameras(12), 16))
    centres = torch.stack([camera.center for camera in path])
    torch.testing.assert_close(centres[:, 1], torch.full((16,), -1.0), atol=0.05, rtol=0)
    torch.testing.assert_close(centres[:, [0, 2]].norm(dim=1), torch.full((16,), 4.0), atol=0.05, rtol=0)
    azimuths = torch.atan2(centres[:, 2], centres[:, 0]).sort().values
    assert (azimuths.diff() - 2 * math.pi / 16).abs().max() < 1e-3
    for camera in path:
        assert_rigid(camera.world_to_camera)
        middle = camera.world_to_camera @ torch.tensor([0.0, 0.0, 0.0, 1.0])
        assert middle[2] > 3 and middle[:2].abs().max() < 0.05


def test_orbit_stays_in_the_arc_that_was_photographed():
    keys = ring_cameras(7, arc_rad=1.2 * 7 / 6)
    seen = torch.stack([camera.center for camera in keys])
    centres = torch.stack([camera.center for camera in orbit(keys, 20)])
    assert centres[:, 0].min() >= seen[:, 0].min() - 0.1 and centres[:, 0].max() <= seen[:, 0].max() + 0.1
    assert centres[:, 2].max() <= seen[:, 2].max() + 0.1
    assert (centres[0] - centres[10]).norm() > 3, "it swings over the whole arc"
    torch.testing.assert_close(centres[5], centres[15], atol=1e-4, rtol=0)


def test_circle_goes_all_around_also_where_nothing_was_photographed():
    centres = torch.stack([camera.center for camera in circle(ring_cameras(7, arc_rad=1.0), 12)])
    azimuths = torch.atan2(centres[:, 2], centres[:, 0]).sort().values
    assert (azimuths.diff() - 2 * math.pi / 12).abs().max() < 0.02, "its centre is found from a short arc"
    assert torch.stack([camera.center for camera in orbit(ring_cameras(7, arc_rad=1.0), 12)])[:, 2].max() < 0


def test_lerp_path_is_straight_and_even_and_turns_rigidly():
    keys = ring_cameras(6)
    path = list(lerp_path([keys[i] for i in (4, 0, 5, 2, 1, 3)], 9))
    centres = torch.stack([camera.center for camera in path])
    steps = centres.diff(dim=0)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps), atol=1e-4, rtol=0)
    for found, key in ((path[0], keys[0]), (path[-1], keys[5])):
        torch.testing.assert_close(found.world_to_camera, key.world_to_camera, atol=1e-5, rtol=0)
    for camera in path:
        assert_rigid(camera.world_to_camera)


def test_sorted_by_name_is_the_string_order():
    assert [camera.image_name for camera in sorted_by_name(ring_cameras(3)[::-1])] == ["000.png", "001.png", "002.png"]
