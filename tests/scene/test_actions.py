"""Edited models: the right Gaussians, the right colours, and the old model unchanged."""

import pytest
import torch

from scene.actions import DIMMED, edited, painted_by_label
from scene.motion.freeze import frozen_at
from scene.motion.per_timestep import PerTimestep
from scene.motion.trajectories import Trajectories
from tests.blobs import COLORS, blob_labels, blob_model
from utils.spherical_harmonics import sh_to_rgb

MASK = blob_labels() == 1


def colors_of(model):
    return sh_to_rgb(model.params["f_dc"].detach()[:, 0])


def test_extract_and_remove_part_the_scene():
    model = blob_model()
    inside, outside = (edited(model, MASK, action, (0, 0, 0)) for action in ("extract", "remove"))
    assert torch.equal(inside.means, model.means[MASK]) and torch.equal(outside.means, model.means[~MASK])
    assert len(model) == len(MASK)


def test_recolor_paints_the_selection_only():
    model = blob_model()
    painted = colors_of(edited(model, MASK, "recolor", (0.2, 0.4, 0.6)))
    torch.testing.assert_close(painted[MASK], torch.tensor([[0.2, 0.4, 0.6]]).expand(40, 3))
    torch.testing.assert_close(painted[~MASK], COLORS[blob_labels()][~MASK])
    torch.testing.assert_close(colors_of(model), COLORS[blob_labels()])


def test_highlight_darkens_the_rest_to_grey():
    colors = colors_of(edited(blob_model(), MASK, "highlight", (0, 0, 0)))
    luma = COLORS @ torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(colors[MASK], COLORS[1].expand(40, 3))
    torch.testing.assert_close(colors[~MASK], (DIMMED * luma[blob_labels()[~MASK]])[:, None].expand(-1, 3))


def tracked_blobs():
    """The balls rise by 1 and grow dark until the last moment."""
    model, rise = blob_model(), torch.tensor([0.0, -1.0, 0.0])
    means, quats, colors = model.means.detach(), model.activated().quats_wxyz.detach(), COLORS[blob_labels()]
    columns = [torch.stack(pair) for pair in ((means, means + rise), (quats, quats), (colors, 0.5 * colors))]
    return model.with_motion(PerTimestep.of(Trajectories(torch.tensor([0.0, 1.0], dtype=torch.float64), *columns)))


def test_parts_of_a_tracked_scene_move_on():
    model = tracked_blobs()
    outside = edited(model, MASK, "remove", (0, 0, 0))
    for time in (0.0, 0.25, 1.0):
        torch.testing.assert_close(outside.at(time).means, model.at(time).means[~MASK])
        torch.testing.assert_close(outside.at(time).colors, model.at(time).colors[~MASK])


def test_recolor_lasts_for_all_time():
    model = tracked_blobs()
    for time in (0.0, 1.0):
        colors = edited(model, MASK, "recolor", (0.2, 0.4, 0.6)).at(time).colors
        torch.testing.assert_close(colors[MASK], torch.tensor([[0.2, 0.4, 0.6]]).expand(40, 3))
        torch.testing.assert_close(colors[~MASK], model.at(time).colors[~MASK])
        grey = edited(model, MASK, "highlight", (0, 0, 0)).at(time).colors[~MASK]
        torch.testing.assert_close(grey, grey[:, :1].expand(-1, 3))
    torch.testing.assert_close(model.at(1.0).colors, 0.5 * COLORS[blob_labels()])


def test_a_moment_of_a_tracked_scene_has_its_colours():
    frozen = frozen_at(tracked_blobs(), 1.0)
    torch.testing.assert_close(colors_of(frozen), 0.5 * COLORS[blob_labels()])


def test_an_unknown_action_is_refused():
    with pytest.raises(ValueError, match="expected one of extract, remove"):
        edited(blob_model(), MASK, "explode", (0, 0, 0))


def test_labels_become_colours():
    numbers = torch.tensor([2, 0, 1])[blob_labels()]
    palette = torch.tensor([[1.0, 0, 0], [0, 0.5, 1.0]])
    model = painted_by_label(blob_model(), numbers, palette)
    colors = colors_of(model).reshape(3, 40, 3)
    torch.testing.assert_close(colors[0], palette[1].expand(40, 3))
    torch.testing.assert_close(colors[2], palette[0].expand(40, 3))
    assert torch.allclose(colors[1, :, 0], colors[1, :, 1]) and model.features is None
