import numpy as np
import pytest

from examples.camera_paths import orbit, view_from
from examples.procedural import moving_toys, still_life
from examples.raytracer import Body, Pose, Solid, View, World, ground_truth, intersect, is_visible, place, render

GREY = lambda points: np.full_like(points, 0.5)  # noqa: E731


def straight_view(distance: float, size: int = 33, focal_px: float = 60.0) -> View:
    """A camera at z = -distance that looks along +z, world axes = camera axes."""
    pose = np.eye(4)
    pose[2, 3] = distance
    return View(pose, focal_px, size, size)


def one(shape: str, half: tuple[float, float, float], pose: Pose | None = None) -> World:
    return World((Body("thing", 3, (Solid(shape, half, GREY),), lambda _time: pose or Pose()),))


def test_sphere_depth_equals_the_formula():
    view, radius, distance = straight_view(4.0), 1.0, 4.0
    labels, depth = ground_truth(one("ellipsoid", (radius,) * 3), view)
    x, y = np.meshgrid(np.arange(33) + 0.5 - 16.5, np.arange(33) + 0.5 - 16.5)
    slope2 = (x**2 + y**2) / view.focal_px**2  # ray (x/f, y/f, 1) * z meets |p - (0, 0, distance)| = radius
    inside = distance**2 - (1 + slope2) * (distance**2 - radius**2)
    expected = np.where(inside > 0, (distance - np.sqrt(np.maximum(inside, 0))) / (1 + slope2), 0)
    np.testing.assert_allclose(depth, expected, atol=1e-6)
    np.testing.assert_array_equal(labels, np.where(inside > 0, 3, 0))


def test_turned_box_and_cylinder_show_their_faces():
    quarter = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # local z -> world x
    box = ground_truth(one("box", (0.3, 0.4, 0.9), Pose(quarter)), straight_view(3.0))[1]
    assert box[16, 16] == pytest.approx(3.0 - 0.3, abs=1e-6)  # local x faces the camera
    assert ground_truth(one("cylinder", (0.5, 0.5, 0.8)), straight_view(3.0))[1][16, 16] == pytest.approx(2.2, abs=1e-6)
    lying = ground_truth(one("cylinder", (0.5, 0.5, 0.8), Pose(quarter)), straight_view(3.0))[1]
    assert lying[16, 16] == pytest.approx(2.5, abs=1e-6)


def test_ellipsoid_is_a_sphere_in_scaled_space_and_normals_face_out():
    half, direction = np.array([0.5, 1.0, 2.0]), np.array([[0.1, 0.05, 1.0], [0.0, 0.2, 1.0]])
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    hits = intersect(place(one("ellipsoid", tuple(half)), 0), np.array([0.0, 0, -5]), direction)
    points = np.array([0.0, 0, -5]) + hits.distance[:, None] * direction
    np.testing.assert_allclose(((points / half) ** 2).sum(1), 1, atol=1e-9)
    assert (np.einsum("ij,ij->i", hits.normal, direction) < 0).all()
    np.testing.assert_allclose(np.linalg.norm(hits.normal, axis=1), 1, atol=1e-9)


def test_render_is_deterministic_and_depends_on_the_seed():
    view = orbit(6, (32, 24))[0]
    first, again, other = (render(still_life(seed), view).rgba for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_static_scene_leaves_nothing_empty_and_shows_all_toys():
    world = still_life(0)
    frame = render(world, view_from((30, 40), 3.0, 52.0, (96, 72)), samples=1)
    assert (frame.rgba[..., 3] == 255).all() and (frame.depth > 0).all()
    assert set(range(1, 9)) <= set(np.unique(frame.labels).tolist())
    assert world.names[3] == "ball" and world.names[0] == "background"


def test_alpha_is_the_covered_share_of_the_rays():
    view = straight_view(4.0)
    frame = render(one("ellipsoid", (1.0, 1.0, 1.0)), view, samples=3)
    assert frame.rgba[16, 16, 3] == 255 and frame.rgba[0, 0, 3] == 0
    assert set(np.unique(frame.rgba[..., 3]).tolist()) <= {round(255 * k / 9) for k in range(10)}


def test_bodies_move_rigidly_and_do_not_meet():
    world = moving_toys(0)
    for time in np.linspace(0, 1, 9):
        for body in world.bodies:
            rotation = body.pose(float(time)).rotation
            np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        solids = [item for item in place(world, float(time)) if item.solid.shape == "ellipsoid"]
        spheres = [(item.center, max(item.solid.half)) for item in solids if item.body.moves]
        for index, (center, radius) in enumerate(spheres):
            assert all(np.linalg.norm(center - c) > radius + r for c, r in spheres[index + 1 :])


def test_visibility_agrees_with_depth():
    world, view = still_life(0), orbit(4, (64, 48))[1]
    _, depth = ground_truth(world, view)
    rays = view.rays((0.5, 0.5))
    surface = view.center + rays * (depth.reshape(-1) / (rays @ view.world_to_camera[2, :3]))[:, None]
    behind = view.center + (surface - view.center) * 1.05
    assert is_visible(world, view, surface).mean() > 0.99
    assert not is_visible(world, view, behind).any()
