import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gaussian_renderer.anchors import project
from tests.blobs import blob_model, ring_cameras
from viewer.client_cameras import (
    Surroundings,
    client_camera,
    fitting_fov,
    pixel_in_view,
    pose_of,
    view_at,
)

RING = [replace(camera, cx=camera.cx + 3, cy=camera.cy - 2) for camera in ring_cameras(width=48, height=40)]


@pytest.mark.parametrize("size", [(100, 100), (160, 90), (60, 120)])
def test_a_visitor_at_a_photograph_sees_all_of_it_where_it_belongs(size):
    view = RING[2]
    camera = client_camera(pose_of(view, size[0] / size[1]), size, 0.25)
    torch.testing.assert_close(camera.world_to_camera, view.world_to_camera, atol=1e-6, rtol=0)
    assert (camera.width, camera.height, camera.time) == (*size, 0.25) and camera.fx == camera.fy
    corners = torch.tensor([[0.0, 0.0], [view.width, view.height]])
    rays = (corners - torch.tensor([view.cx, view.cy])) / torch.tensor([view.fx, view.fy])
    seen = rays * camera.fx + torch.tensor([camera.cx, camera.cy])
    assert (seen >= -1e-3).all() and (seen <= torch.tensor([size]) + 1e-3).all()


def test_a_pixel_of_the_canvas_is_the_photographs_pixel_of_the_same_ray():
    view, points = RING[1], blob_model().means.detach()
    camera = client_camera(pose_of(view, 1.5), (150, 100), 0.0)
    on_canvas, in_photo = project(camera, points)[0], project(view, points)[0]
    for (x, y), (column, row) in zip(on_canvas.tolist(), in_photo.tolist(), strict=True):
        found = pixel_in_view(camera, view, x, y)
        assert found is not None and abs(found[0] + 0.5 - column) < 0.6 and abs(found[1] + 0.5 - row) < 0.6
    assert pixel_in_view(camera, view, 0.0, 0.0) is None  # beside the photograph


def test_the_view_is_known_by_its_pose_and_its_time():
    views = [*RING, replace(RING[3], image_name="later", time=1.0)]
    here = client_camera(pose_of(RING[3], 1.0), (50, 50), 0.9)
    assert view_at(here, views, 4.0).image_name == "later"
    assert view_at(replace(here, time=0.2), views, 4.0) is RING[3]
    moved = here.world_to_camera.clone()
    moved[0, 3] += 0.05
    assert view_at(replace(here, world_to_camera=moved), views, 4.0) is None
    angle = math.radians(1)
    turn = torch.eye(4)
    turn[:2, :2] = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    assert view_at(replace(here, world_to_camera=turn @ here.world_to_camera), views, 4.0) is None
    half_turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0]))  # its sine is 0 too
    assert view_at(replace(here, world_to_camera=half_turn @ here.world_to_camera), views, 4.0) is None
    assert view_at(here, [], 4.0) is None


def test_fields_of_view_stay_sensible():
    tiny = replace(RING[0], fx=1.0, fy=1.0)
    assert fitting_fov(tiny, 1.0) < math.pi
    assert fitting_fov(RING[0], 100.0) <= fitting_fov(RING[0], 0.1)


def test_surroundings_of_photographs_and_of_points():
    around = Surroundings.of_views(RING)
    assert abs(around.radius - math.hypot(4, 1)) < 0.3
    assert around.up @ torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64) > 0.99
    points = torch.cat([torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), torch.full((3, 3), 1e4)])
    lone = Surroundings.of_points(points)
    assert lone.centre.norm() < 0.2 and lone.radius < 20
    for camera in lone.vantages():
        pixels, depth = project(camera, points[:500])
        inside = (depth > 0) & (pixels >= 0).all(1) & (pixels < torch.tensor([camera.width, camera.height])).all(1)
        assert inside.float().mean() > 0.9
    assert np.isfinite(Surroundings.of_points(torch.zeros(0, 3)).radius)
