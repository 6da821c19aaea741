"""Points of a view in space, and with the Gaussians through time."""

import math
from dataclasses import replace

import torch

from gaussian_renderer.anchors import Anchors, local_points, project, unproject, visible_points, world_points
from gaussian_renderer.mask_lifting import deepest_pixel
from gaussian_renderer.prompting import surface_of
from tests.blobs import CENTRES, REFERENCE, blob_labels, blob_model, ring_cameras
from utils.transforms import quaternion_to_matrix

MODEL = blob_model()
SHARES = torch.nn.functional.one_hot(blob_labels(), 3).float()


def draw(camera):
    return surface_of(camera, MODEL, SHARES, REFERENCE)


def turned(gaussians, angle_rad, shift):
    """All Gaussians turned about y and shifted, and the same motion of points."""
    quat = torch.tensor([math.cos(angle_rad / 2), 0.0, math.sin(angle_rad / 2), 0.0])
    rotation = quaternion_to_matrix(quat)
    quats = quat.expand_as(gaussians.quats_wxyz)  # those of the balls are the identity

    def move(points):
        return points @ rotation.T + shift

    return replace(gaussians, means=move(gaussians.means), quats_wxyz=quats), move


def test_pixels_at_their_depth_go_to_space_and_back():
    camera = ring_cameras(4)[1]
    pixels = torch.tensor([[3, 5], [40, 30], [24, 20]])
    depth = torch.rand(40, 48, generator=torch.Generator().manual_seed(0)) + 1
    back, z = project(camera, unproject(camera, depth, pixels))
    torch.testing.assert_close(back, pixels + 0.5, atol=1e-4, rtol=0)
    torch.testing.assert_close(z, depth[pixels[:, 1], pixels[:, 0]])


def test_points_of_a_gaussians_frame_come_back():
    generator = torch.Generator().manual_seed(0)
    points, means, quats = (torch.randn(20, width, generator=generator) for width in (3, 3, 4))
    torch.testing.assert_close(world_points(local_points(points, means, quats), means, quats), points)


def test_anchors_move_rigidly_with_their_gaussians():
    camera = ring_cameras(4)[0]
    surface, gaussians = draw(camera), MODEL.activated()
    pixels = torch.nonzero(surface.ids >= 0).flip(1)
    anchors = Anchors.of_pixels(camera, surface, pixels, gaussians)
    points = unproject(camera, surface.depth[0], pixels)
    torch.testing.assert_close(anchors.at(gaussians), points, atol=1e-5, rtol=0)
    moved, move = turned(gaussians, 0.7, torch.tensor([1.0, -2.0, 0.5]))
    torch.testing.assert_close(anchors.at(moved), move(points), atol=1e-5, rtol=0)


def test_pixels_that_show_nothing_have_no_anchor():
    camera = ring_cameras(4)[0]
    surface = draw(camera)
    assert surface.ids[0, 0] == -1
    anchors = Anchors.of_pixels(camera, surface, torch.tensor([[0, 0]]), MODEL.activated())
    assert anchors.at(MODEL.activated()).shape == (0, 3)


def test_only_points_on_the_surface_are_visible():
    camera = ring_cameras(4)[1]  # looks along the x axis: one ball hides another
    front = int((CENTRES - camera.center)[:2].norm(dim=1).argmin())
    surface = draw(camera)
    x, y = deepest_pixel((surface.features.argmax(0) == front) & (surface.alpha[0] > 0.5))
    hit = unproject(camera, surface.depth[0], torch.tensor([[x, y]]))
    assert visible_points(camera, surface, hit) == ((x, y),)
    behind = hit + 1.5 * (hit - camera.center) / (hit - camera.center).norm()
    assert visible_points(camera, surface, behind) == ()
    assert visible_points(camera, surface, 2 * camera.center[None]) == (), "behind the camera"
