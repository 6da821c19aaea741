"""Masks of a selection: right in every view, and what hides the object counts."""

import torch

from gaussian_renderer import render
from gaussian_renderer.frames import Frame
from gaussian_renderer.membership import mask_picture, overlay_picture, selection_mask
from tests.blobs import REFERENCE, blob_labels, blob_model, ring_cameras


def frame_of(camera, chosen):
    membership = (blob_labels() == chosen)[:, None].float()
    with torch.no_grad():
        return Frame(0, camera, render(camera, blob_model(), settings=REFERENCE, features=membership))


def test_masks_are_disjoint_and_cover_what_is_opaque():
    for camera in ring_cameras(4):
        frames = [frame_of(camera, ball) for ball in range(3)]
        masks = torch.stack([selection_mask(frame) for frame in frames])
        opaque = frames[0].output.alpha[0] > 0.5
        assert masks.sum(0).max() == 1
        assert (masks.any(0) == opaque).float().mean() > 0.995
        assert masks[0].any() or masks[1].any()


def test_a_hidden_ball_has_no_mask_where_it_is_hidden():
    camera = ring_cameras(4)[1]  # looks along the x axis: ball 1 in front of ball 0
    front, back = selection_mask(frame_of(camera, 1)), selection_mask(frame_of(camera, 0))
    assert front.sum() > 4 * back.sum()


def test_the_overlay_changes_the_selection_and_its_outline_only():
    frame = frame_of(ring_cameras(1)[0], 0)
    mask, overlay = mask_picture(frame), overlay_picture(frame)
    changed = (overlay - frame.color).abs().amax(0) > 1e-4
    near = torch.nn.functional.max_pool2d(mask[None], 3, stride=1, padding=1)[0, 0] > 0
    assert mask.shape == (1, 40, 48) and overlay.shape == (3, 40, 48)
    assert not changed[~near].any() and changed[mask[0] > 0].all()
