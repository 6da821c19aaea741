"""Masks of views lifted to Gaussians, and prompts carried from view to view."""

import pytest
import torch

from gaussian_renderer import render
from gaussian_renderer.mask_lifting import (
    PromptAnchors,
    ViewPrompt,
    deepest_pixel,
    lift_masks,
    lift_prompt,
)
from gaussian_renderer.prompting import surface_of
from tests.blobs import REFERENCE, blob_labels, blob_model, ring_cameras
from tests.moving_blobs import moving_blobs, timed_ring
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
    anchors = PromptAnchors.of(first, draw(first), ViewPrompt(box=box), mask, MODEL.activated())
    local = anchors.in_view(second, draw(second), MODEL.activated())
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


def test_a_point_follows_its_ball_through_time():
    """The red ball rises by more than its size; the decoder knows the true masks of each moment."""
    model, cameras = moving_blobs(), timed_ring(5)

    def masks(camera):
        with torch.no_grad():
            output = render(camera, model, settings=REFERENCE, features=SHARES)
        return (output.features.argmax(0) == torch.arange(3)[:, None, None]) & (output.alpha[0] > 0.5)

    def show(camera):
        return surface_of(camera, model, SHARES, REFERENCE)

    red = masks(cameras[0])[0]
    anchors = PromptAnchors.of(cameras[0], show(cameras[0]), ViewPrompt(box=(0, 0, 48, 40)), red, model.at(0.0))
    seen = 0
    for camera in cameras:
        local = anchors.in_view(camera, show(camera), model.at(camera.time))
        if local is not None:
            (x, y), (left, top) = local.positive[0], local.box[:2]
            rows, columns = torch.nonzero(masks(camera)[0], as_tuple=True)
            assert masks(camera)[0][y, x]
            assert abs(top - int(rows.min())) <= 3 and abs(left - int(columns.min())) <= 3
            seen += 1
    assert seen >= 2

    def decode(camera, surface, prompt):
        x, y = prompt.positive[0]
        return next(mask for mask in masks(camera) if mask[y, x])

    share = lift_prompt(model, cameras, ViewPrompt((deepest_pixel(red),)), show, decode, REFERENCE)
    assert ((share > 0.5) == (blob_labels() == 0)).float().mean() > 0.97
