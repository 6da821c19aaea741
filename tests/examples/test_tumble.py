import numpy as np
import pytest

from examples.camera_paths import rig
from examples.raytracer import body_map, is_visible, place, surface_points
from examples.tumble import STEP_SEC, bounce_height, tumbling, turn_about

FRAMES, NEWCOMER = 20, 8
STAGE = 2.9  # metres across
TIMES = np.linspace(0, 1, FRAMES)
WORLD = tumbling(FRAMES, NEWCOMER)
DRUM = next(index for index, body in enumerate(WORLD.bodies) if body.name == "drum")


def corners(body):
    """Corners [K, 3] of the boxes around a body's solids, in its frame."""
    signs = np.stack(np.meshgrid(*[(-1, 1)] * 3), axis=-1).reshape(-1, 3)
    return np.concatenate([signs * np.array(solid.half) + np.array(solid.offset) for solid in body.solids])


def test_bodies_are_rigid_and_move_at_a_sensible_pace():
    for body in (body for body in WORLD.bodies if body.moves):
        poses = [body.pose(float(time)) for time in TIMES]
        for pose in poses:
            np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(pose.rotation) > 0
        path = np.stack([pose.to_world(corners(body)) for pose in poses])
        speed = np.linalg.norm(np.diff(path, axis=0), axis=-1).max(axis=1)
        if body.name == "drum":
            speed = np.delete(speed, NEWCOMER - 1)  # where it is put into the pictures
        assert speed.max() < 0.08 * STAGE, body.name
        assert speed.max() > 0.02, "it moves"


def test_more_frames_show_more_of_the_same_motion():
    long = tumbling(2 * FRAMES - 1)
    for body, other in zip(tumbling(FRAMES).bodies, long.bodies, strict=True):
        pose, same = body.pose(1.0), other.pose(0.5)
        np.testing.assert_allclose(pose.rotation, same.rotation, atol=1e-9)
        np.testing.assert_allclose(pose.translation, same.translation, atol=1e-9)


def inside(item, points):
    """[M] bool: world points inside of a placed solid."""
    scaled = (item.pose.to_local(points) - np.array(item.solid.offset)) / np.array(item.solid.half)
    if item.solid.shape == "ellipsoid":
        return (scaled**2).sum(axis=1) < 1
    if item.solid.shape == "box":
        return np.abs(scaled).max(axis=1) < 1
    return ((scaled[:, :2] ** 2).sum(axis=1) < 1) & (np.abs(scaled[:, 2]) < 1)


@pytest.mark.parametrize("frames", [FRAMES, 60])
def test_things_neither_meet_nor_sink_into_the_ground(frames):
    world = tumbling(frames, NEWCOMER)
    unit = np.random.default_rng(0).uniform(-1, 1, (300, 3))
    for time in np.linspace(0, 1, frames):
        solids = [item for item in place(world, float(time)) if item.solid.shape not in ("dome", "disc")]
        for item in solids:
            points = item.pose.to_world(unit * item.solid.half + np.array(item.solid.offset))
            points = points[inside(item, points)]
            assert points[:, 2].min() > -0.015, item.body.name
            for other in solids:
                if other.body.label != item.body.label:
                    assert not inside(other, points).any(), (item.body.name, other.body.name, time)


def test_the_figure_s_arms_stay_at_its_shoulders_and_turn():
    trunk, left, right = (body for body in WORLD.bodies if body.name == "figure")
    assert {trunk.label, left.label, right.label} == {8}
    local = [trunk.pose(t).to_local(arm.pose(t).translation[None])[0] for t in TIMES for arm in (left, right)]
    assert np.ptp(np.array(local[::2]), axis=0).max() < 1e-9 and np.ptp(np.array(local[1::2]), axis=0).max() < 1e-9
    turns = [trunk.pose(t).rotation.T @ left.pose(t).rotation for t in TIMES]
    angles = [np.arccos(np.clip((np.trace(turns[0].T @ turn) - 1) / 2, -1, 1)) for turn in turns]
    assert max(angles) > 1.0


@pytest.mark.parametrize("size", [(32, 18), (24, 24)])
def test_the_newcomer_is_in_no_picture_before_its_time_and_then_stays(size):
    views = rig(14, size)
    for step, time in enumerate(TIMES):
        views_now = [type(view)(view.world_to_camera, view.focal_px, *size, float(time)) for view in views]
        seen = sum((body_map(WORLD, view)[0] == DRUM).any() for view in views_now)
        assert seen == 0 if step < NEWCOMER else seen >= 7, f"step {step}"


def test_the_newcomer_ends_at_rest_on_the_ground():
    long = tumbling(90, NEWCOMER)
    pose = long.bodies[DRUM].pose(1.0)
    assert pose.translation[2] == pytest.approx(0.15)
    assert all(body.name != "drum" for body in tumbling(FRAMES).bodies)


def test_points_belong_to_the_body_that_is_hit_there():
    view = rig(14, (96, 54))[1]
    points, owners = surface_points(WORLD, view, 600, np.random.default_rng(0))
    assert len(set(owners)) > 6 and is_visible(WORLD, view, points).mean() > 0.99
    arms = [index for index, body in enumerate(WORLD.bodies) if body.name == "figure"][1:]
    for index in arms:
        local = WORLD.bodies[index].pose(0.0).to_local(points[owners == index])
        assert (np.linalg.norm(local, axis=1) < 0.4).all()


def test_a_bounce_falls_freely_and_loses_height():
    seconds = np.arange(0, 3, 1e-3)
    height = np.array([bounce_height(0.5, sec) for sec in seconds])
    assert height[0] == 0.5 and height.min() >= -1e-9 and height[-1] == 0
    np.testing.assert_allclose(0.5 - height[100], 9.8 / 2 * 0.1**2, atol=1e-9)
    peaks = height[1:-1][(height[1:-1] > height[:-2]) & (height[1:-1] > height[2:])]
    np.testing.assert_allclose(peaks[1:] / peaks[:-1], 0.49, atol=0.01)  # 0.7 of the speed is 0.49 of the height
    assert STEP_SEC == 1 / 30


def test_turning_about_an_axis_keeps_it():
    rotation = turn_about((1.0, 2.0, -0.5), 0.7)
    np.testing.assert_allclose(rotation @ [1.0, 2.0, -0.5], [1.0, 2.0, -0.5], atol=1e-12)
    assert np.trace(rotation) == pytest.approx(1 + 2 * np.cos(0.7))
