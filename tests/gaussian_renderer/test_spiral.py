"""The spiral: closed, always looking at one point, as wide as the training views and never through the scene."""

import math
from dataclasses import replace

import pytest
import torch

from gaussian_renderer.spiral import MAX_RADIUS, spiral
from gaussian_renderer.trajectories import scene_centre
from tests.blobs import ring_cameras
from tests.gaussian_renderer.test_trajectories import assert_rigid
from utils.errors import UserError
from utils.transforms import look_at


def facing(count=25, converging=True):
    """Cameras on a square of half width 1 in the plane z = -10, looking at the origin or straight ahead."""
    side, up, template = math.isqrt(count), torch.tensor([0.0, -1.0, 0.0]), ring_cameras(1)[0]
    cameras = []
    for index in range(count):
        eye = torch.tensor([2 * (index % side) / (side - 1) - 1, 2 * (index // side) / (side - 1) - 1, -10.0])
        target = torch.zeros(3) if converging else eye + torch.tensor([0.0, 0.0, 1.0])
        cameras.append(replace(template, uid=index, world_to_camera=look_at(eye, target, up)))
    return cameras


def centres_of(path):
    return torch.stack([camera.center for camera in path])


@pytest.mark.parametrize("cameras", [facing(), facing(converging=False), ring_cameras(12), ring_cameras(1)])
def test_every_pose_is_rigid_and_the_path_is_closed(cameras):
    path = list(spiral(cameras, 60))
    assert [camera.image_name for camera in path[:2]] == ["spiral_00000", "spiral_00001"]
    for camera in path:
        assert_rigid(camera.world_to_camera)
        assert camera.info is None
    centres = centres_of(path)
    steps = (centres - centres.roll(1, 0)).norm(dim=1)
    assert steps[0] <= 1.5 * steps[1:].max() + 1e-6, "the last camera stands next to the first"


def test_it_is_as_wide_as_views_that_face_forward():
    centres = centres_of(spiral(facing(), 120))
    for axis in (0, 1):
        assert centres[:, axis].abs().max() == pytest.approx(1.0, abs=0.05)
    assert (centres[:, 2] + 10).abs().max() < 0.1, "they all stand in one plane"


def test_two_turns_and_one_swing_in_depth():
    """Every third camera stands nearer, so that the radius in depth is not 0."""
    shift = torch.eye(4)
    shift[2, 3] = -1.5
    cameras = facing()
    cameras[::3] = [replace(camera, world_to_camera=shift @ camera.world_to_camera) for camera in cameras[::3]]
    centres = centres_of(spiral(cameras, 120))
    offsets = centres - (centres.amax(0) + centres.amin(0)) / 2

    def turns(values):
        return int(((values > 0) & (values.roll(1) <= 0)).sum())

    assert turns(offsets[:, 1]) == 2 and turns(offsets[:, 2]) == 1
    assert offsets[:, 2].abs().max() == pytest.approx(1.5, abs=0.2)


def test_all_look_at_the_point_where_the_axes_meet():
    cameras = facing()
    focus = torch.cat([scene_centre(cameras).float(), torch.ones(1)])
    for camera in spiral(cameras, 10):
        x, y, z, _ = (camera.world_to_camera @ focus).tolist()
        assert z > 5 and abs(x) < 1e-3 and abs(y) < 1e-3


def test_a_ring_of_cameras_does_not_lead_through_the_scene():
    centres = centres_of(spiral(ring_cameras(12), 60))
    assert centres.norm(dim=1).min() > 4 * (1 - 2 * MAX_RADIUS)


def test_no_camera_is_one_line():
    with pytest.raises(UserError, match="no cameras"):
        next(spiral([], 3))
