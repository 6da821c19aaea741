"""What is drawn of moving points, and which points can be seen."""

from dataclasses import replace

import pytest
import torch

from gaussian_renderer import render
from gaussian_renderer.anchors import project
from gaussian_renderer.frames import Frame
from gaussian_renderer.tails import Tails, seen_points
from tests.blobs import CENTRES, RADIUS, REFERENCE, blob_model, ring_cameras

CAMERA = ring_cameras(4)[0]
WAY = torch.tensor([0.0, -0.25, 0.0])


def frame_at(time, with_balls=True):
    model = blob_model() if with_balls else blob_model().subset(torch.zeros(120, dtype=torch.bool))
    camera = replace(CAMERA, time=time)
    with torch.no_grad():
        return Frame(0, camera, render(camera, model, settings=REFERENCE))


def side_of_ball(side):
    """A point of the first ball that looks at the camera (side > 0) or away from it."""
    return CENTRES[0] + side * RADIUS * torch.nn.functional.normalize(CAMERA.center - CENTRES[0], dim=0)


def drawn(time, head_px=0, start=None, slack=None, with_balls=False):
    """Pixels [H, W] bool that two points, one red and one green, change; they rise from their start."""
    start = torch.stack([torch.zeros(3), torch.tensor([0.7, 0.0, 0.0])]) if start is None else start
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    tails = Tails(times, start + torch.arange(5)[:, None, None] * WAY, torch.eye(3)[: len(start)], slack, head_px)
    frame = frame_at(time, with_balls)
    return tails.on(lambda frame: frame.color)(frame) - frame.color


def test_a_tail_is_the_way_up_to_now():
    start, middle = (project(CAMERA, step * WAY[None])[0][0].floor().long().tolist() for step in (0, 2))
    assert not drawn(0.0).any(), "no way yet"
    red = drawn(0.5)[0] > 0
    rows = red.nonzero()[:, 0]
    assert (rows.min(), rows.max()) == (middle[1], start[1]), "and not beyond"
    assert (drawn(0.5)[1] > 0).sum() > 3, "the other in its own colour"


@pytest.mark.parametrize(("radius", "area"), [(1, 5), (2, 13)])
def test_a_disc_at_the_present_place(radius, area):
    image = drawn(0.0, radius)
    assert (image[0] > 0).sum() == area and (image[1] > 0).sum() == area
    column, row = project(CAMERA, torch.zeros(1, 3))[0][0].floor().long().tolist()
    assert image[0, row, column] == 1
    assert not drawn(0.0, 1, torch.tensor([[50.0, 0.0, 0.0]])).any(), "outside"


def test_what_is_hidden_is_not_drawn():
    for side, expected in ((1.0, True), (-1.0, False)):
        changed = drawn(0.0, 1, side_of_ball(side)[None], slack=0.3, with_balls=True)
        assert changed.any() == expected


def test_points_are_seen_in_front_of_the_surface_and_a_little_behind():
    surface = frame_at(0.0).output.median_depth
    points = torch.stack([side_of_ball(1.0), side_of_ball(-1.0), 2 * CAMERA.center, torch.tensor([50.0, 0, 0])])
    assert seen_points(CAMERA, surface, points, 0.3).tolist() == [True, False, False, False]
    assert seen_points(CAMERA, surface, points, 3.0).tolist() == [True, True, False, False]
    assert seen_points(CAMERA, torch.zeros_like(surface), points, 0.0).tolist() == [True, True, False, False]
    assert seen_points(CAMERA, surface, points).tolist() == [True, False, False, False], "a share of the depth"


def test_a_plane_at_a_low_angle_hides_no_point_of_its_own():
    """Depth falls by 0.1 from row to row; points lie on it between the middles of the pixels."""
    rows = torch.arange(CAMERA.height)
    surface = (9.0 - 0.1 * rows)[None, :, None].expand(1, -1, CAMERA.width)
    pixels = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([40.0, 30.0]) + 4
    depth = 9.0 - 0.1 * (pixels[:, 1] - 0.5)
    x, y = (pixels[:, 0] - CAMERA.cx) / CAMERA.fx * depth, (pixels[:, 1] - CAMERA.cy) / CAMERA.fy * depth
    camera = replace(CAMERA, world_to_camera=torch.eye(4))
    points = torch.stack([x, y, depth], 1)
    assert seen_points(camera, surface, points, 0.001).all()
    assert not seen_points(camera, surface, points * 1.05, 0.001).any(), "but what lies behind it"
