"""Masks of views lifted to Gaussians, and prompts carried from view to view."""

import pytest
import torch

from gaussian_renderer import render
from gaussian_renderer.mask_lifting import (
    ViewPrompt,
    anchor,
    deepest_pixel,
    lift_masks,
    lift_prompt,
    project,
    prompt_in_view,
    unproject,
    visible_points,
)
from gaussian_renderer.prompting import surface_of
from tests.blobs import CENTRES, REFERENCE, blob_labels, blob_model, ring_cameras
from utils.errors import UserError

MODEL = blob_model()
CAMERAS = ring_cameras(4)
SHARES = torch.nn.functional.one_hot(blob_labels(), 3).float()


def true_masks(camera):
    """Masks [3, H, W] of the balls."""
    with torch.no_grad():
        output = render(camera, MODEL, settings=REFERENCE, features=SHARES)
    return (output.features.argmax(0) == torch.arange(3)[:, None, None]) & (output.alpha[0] > 0.5)


def draw(camera):
    return surface_of(camera, MODEL, SHARES, REFERENCE)


def test_true_masks_give_every_gaussian_to_its_ball():
    lifted = lift_masks(MODEL, [(camera, true_masks(camera)) for camera in CAMERAS], REFERENCE)
    seen = lifted.weights > 1
    assert (lifted.features.argmax(1) == blob_labels())[seen].float().mean() > 0.97
    assert lifted.features.min() >= 0 and lifted.features.max() <= 1 + 1e-5
    whole = lift_masks(MODEL, [(CAMERAS[0], torch.ones(1, 40, 48))], REFERENCE)
    torch.testing.assert_close(
        whole.features[whole.weights > 0.1], torch.ones(1, 1).expand(int((whole.weights > 0.1).sum()), 1)
    )


def test_pixels_at_their_depth_go_to_space_and_back():
    camera = CAMERAS[1]
    pixels = torch.tensor([[3, 5], [40, 30], [24, 20]])
    depth = torch.rand(40, 48, generator=torch.Generator().manual_seed(0)) + 1
    points = unproject(camera, depth, pixels)
    back, z = project(camera, points)
    torch.testing.assert_close(back, pixels + 0.5, atol=1e-4, rtol=0)
    torch.testing.assert_close(z, depth[pixels[:, 1], pixels[:, 0]])


def test_only_points_on_the_surface_are_visible():
    camera = ring_cameras(4)[1]  # looks along the x axis: one ball hides another
    to_camera = CENTRES - camera.center
    front, back = to_camera[:2].norm(dim=1).argsort().tolist()
    surface = draw(camera)
    shown = surface.depth[0]
    (x, y) = deepest_pixel(true_masks(camera)[front])
    hit = unproject(camera, shown, torch.tensor([[x, y]]))
    assert visible_points(camera, surface, hit) == ((x, y),)
    behind = hit + 1.5 * (hit - camera.center) / (hit - camera.center).norm()
    assert visible_points(camera, surface, behind) == ()
    assert visible_points(camera, surface, 2 * camera.center[None]) == (), "behind the camera"
    assert back != front


def test_the_deepest_pixel_keeps_away_from_every_edge():
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[0:9, 0:9] = True
    assert deepest_pixel(mask) == (4, 4)
    assert deepest_pixel(torch.ones(5, 5, dtype=torch.bool)) == (2, 2)


def test_a_box_reappears_around_the_same_surface():
    first, second = ring_cameras(24)[:2]
    mask = true_masks(first)[2]
    rows, columns = torch.nonzero(mask, as_tuple=True)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    local = prompt_in_view(second, draw(second), anchor(first, draw(first), ViewPrompt(box=box), mask))
    rows, columns = torch.nonzero(true_masks(second)[2], as_tuple=True)
    truth = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert (torch.tensor(local.box) - truth).abs().max() <= 3 and len(local.positive) == 1


def test_one_point_serves_all_views():
    """The decoder knows the true masks; views that do not see the point are asked about what was found elsewhere."""
    asked = []

    def decode(camera, surface, prompt):
        x, y = prompt.positive[0]
        asked.append(camera.image_name)
        return next(mask for mask in true_masks(camera) if mask[y, x])

    point = deepest_pixel(true_masks(CAMERAS[0])[0])
    share = lift_prompt(MODEL, CAMERAS, ViewPrompt((point,)), draw, decode, REFERENCE)
    assert ((share > 0.5) == (blob_labels() == 0)).float().mean() > 0.97
    assert len(asked) == len(set(asked)) >= 3


def test_an_empty_first_mask_is_one_line():
    nothing = lambda camera, surface, prompt: torch.zeros(40, 48, dtype=torch.bool)  # noqa: E731
    with pytest.raises(UserError, match=r"mask of 000.png is empty"):
        lift_prompt(MODEL, CAMERAS, ViewPrompt(((24, 20),)), draw, nothing, REFERENCE)
