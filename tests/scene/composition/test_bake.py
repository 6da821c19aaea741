"""Layers evaluated, placed and put together: against positions worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from arguments import MotionParams
from scene.composition.bake import bake
from scene.composition.layers import Anchor, Composition, Layer
from scene.composition.retime import Clock
from scene.composition.select import Choice, Source
from scene.composition.stage import Stage
from scene.composition.transform import Keyframe, Pose
from scene.gaussian_model import GaussianModel
from scene.motion import MotionSetup
from scene.motion.per_timestep import PerTimestep
from tests.blobs import blob_labels, blob_model
from tests.moving_blobs import TRAVEL, Lift, moving_blobs
from utils.errors import UserError
from utils.spherical_harmonics import rgb_to_sh, sh_to_rgb

TIMES = (0.0, 0.5, 1.0)
RED = Choice("gaussians", tuple(range(40)))
BALLS = Layer("balls", model="balls")
QUARTER = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)
UP = torch.tensor([0.0, -TRAVEL, 0.0])


def still_balls():
    model = blob_model()
    return GaussianModel({name: value.detach() for name, value in model.params.items()})


def baked(*layers, times=TIMES, **models):
    sources = {layer.name: Source(models.get(layer.name) or moving_blobs()) for layer in layers}
    return bake(Stage(Composition(layers, layers[0].name, times), sources, times))


def test_one_layer_is_what_it_was_at_every_moment():
    result, model = baked(BALLS), moving_blobs()
    for index, time in enumerate(TIMES):
        means, quats, colors = result.trajectories.pose(index)
        torch.testing.assert_close(means, model.at(time).means)
        torch.testing.assert_close(quats, torch.nn.functional.normalize(model.at(time).quats_wxyz, dim=1))
        assert colors is None
    torch.testing.assert_close(torch.from_numpy(result.gaussians.f_dc), model.params["f_dc"])
    torch.testing.assert_close(torch.from_numpy(result.gaussians.semantic_feature), model.features)
    torch.testing.assert_close(torch.from_numpy(result.gaussians.motion_code[:, 0]), (blob_labels() == 0).float())


def test_a_changing_size_is_said(capsys):
    baked(BALLS)
    assert "change size" in capsys.readouterr().err
    baked(BALLS, balls=still_balls())
    assert capsys.readouterr().err == ""


def test_rows_are_picked_in_order():
    result = baked(replace(BALLS, remove=(RED,)), balls=still_balls())
    np.testing.assert_allclose(result.gaussians.xyz, blob_model().means.detach()[40:])
    with pytest.raises(UserError, match="nothing of 120 Gaussians is left"):
        baked(replace(BALLS, select=(RED,), remove=(RED,)))


def test_copies_retiming_and_placement_by_hand():
    moved = Pose((1.0, 2.0, 3.0), QUARTER, 2.0)
    layer = replace(BALLS, select=(RED,), keyframes=(Keyframe(0.0, moved),), clock=Clock(reverse=True))
    layer = replace(layer, copies=(Pose((0.0, 0.0, 10.0)),))
    result, means = baked(layer), blob_model().means.detach()[:40]
    for index, time in enumerate(TIMES):
        x, y, z = (means + (1 - time) * UP).unbind(1)
        expected = 2 * torch.stack([z, y, -x], 1) + torch.tensor([1.0, 2.0, 3.0])
        found = result.trajectories.means[index]
        torch.testing.assert_close(found[:40], expected)
        torch.testing.assert_close(found[40:], expected + torch.tensor([0.0, 0.0, 10.0]))
    expected = blob_model().log_scales.detach()[:40] + math.log(2.0)
    last = moving_blobs().at(1.0).scales[:40].detach().log() + math.log(2.0)  # the first moment shows the last one
    assert (expected - last).abs().max() > 0.1
    np.testing.assert_allclose(result.gaussians.scaling[40:], last, rtol=1e-5)


def test_what_stands_still_is_the_same_to_the_last_bit():
    placed = replace(BALLS, keyframes=(Keyframe(0.0, Pose((0.1, 0.2, 0.3), QUARTER, 1.7)),))
    means = baked(placed).trajectories.means
    assert torch.equal(means[:, 40:], means[:1, 40:].expand(3, -1, -1)) and not torch.equal(means[0], means[1])


def test_a_hat_stays_on_the_rising_ball():
    hat = Layer("hat", ply="hat.ply", select=(RED,), keyframes=(Keyframe(0.0, Pose((0.0, -0.5, 0.0))),))
    hat = replace(hat, follow=Anchor("carrier", (RED,), time=0.5), opacity=0.5)
    carrier = replace(BALLS, name="carrier", keyframes=(Keyframe(0.0, Pose()), Keyframe(1.0, Pose((4.0, 0.0, 0.0)))))
    result = baked(carrier, hat, hat=still_balls())
    base, ride = result.trajectories.means[:, :40], result.trajectories.means[:, 120:]
    torch.testing.assert_close(ride - ride[1], base - base[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(ride[1], blob_model().means.detach()[:40] + torch.tensor([0.0, -0.5, 0.0]))
    assert result.gaussians.motion_code[120:, 0].min() == 1
    opacity = torch.from_numpy(result.gaussians.opacity[[0, 120]]).sigmoid()
    assert float(opacity[1]) == pytest.approx(0.5 * float(opacity[0]))


def test_a_layer_appears_at_its_moment():
    births = baked(BALLS, Layer("late", ply="x", appears=0.4)).gaussians.motion_code[:, 1]
    assert (births[:120] == 0).all() and (births[120:] == 1).all()


class Popping(Lift):
    """The first ten Gaussians are there from the time 1/2 on."""

    def at(self, model, time):
        gaussians = super().at(model, time)
        return replace(gaussians, opacities=gaussians.opacities * ((torch.arange(120) >= 10) | (time >= 0.5)))


def test_newcomers_keep_their_moment_and_stay_when_retimed_backwards(capsys):
    popping = GaussianModel(still_balls().params, motion=Popping())
    births = baked(replace(BALLS, clock=Clock(start=0.0, speed=0.6)), balls=popping).gaussians.motion_code[:, 1]
    assert (births[:10] == 2).all() and (births[10:] == 0).all()
    capsys.readouterr()
    births = baked(replace(BALLS, clock=Clock(reverse=True)), balls=popping).gaussians.motion_code[:, 1]
    assert (births == 0).all() and "vanish again" in capsys.readouterr().err


def test_gain_multiplies_what_is_shown():
    model = still_balls()
    result = baked(replace(BALLS, gain=(0.5, 1.0, 0.0)), balls=model)
    shown = sh_to_rgb(torch.from_numpy(result.gaussians.f_dc[:, 0]))
    expected = sh_to_rgb(model.params["f_dc"][:, 0].detach()) * torch.tensor([0.5, 1.0, 0.0])
    torch.testing.assert_close(shown, expected, atol=1e-5, rtol=0)


def test_more_coefficients_win_and_turning_layers_lose_theirs(capsys):
    shiny = still_balls()
    params = {name: value.detach() for name, value in shiny.params.items()} | {"f_rest": torch.full((120, 8, 3), 0.1)}
    result = baked(BALLS, Layer("shiny", ply="x"), balls=still_balls(), shiny=GaussianModel(params))
    assert result.gaussians.f_rest.shape == (240, 8, 3)
    assert np.abs(result.gaussians.f_rest[:120]).max() == 0
    np.testing.assert_allclose(result.gaussians.f_rest[120:], 0.1, rtol=1e-4)
    assert capsys.readouterr().err == ""
    turning = Layer("shiny", ply="x", keyframes=(Keyframe(0.0, Pose()), Keyframe(1.0, Pose(quat_wxyz=QUARTER))))
    result = baked(BALLS, turning, balls=still_balls(), shiny=GaussianModel(params))
    assert result.gaussians.f_rest.shape[1] == 0 and "do not depend on the view" in capsys.readouterr().err


def test_features_of_other_widths_are_left_out(capsys):
    other = still_balls().with_features(torch.zeros(120, 7))
    result = baked(BALLS, Layer("other", ply="x"), balls=still_balls(), other=other)
    assert result.gaussians.semantic_feature is None and "widths 4, 7" in capsys.readouterr().err


def tracked_balls():
    """The result of a baking, used as a model; its colours fade over time."""
    poses = replace(baked(BALLS).trajectories, colors=torch.linspace(1, 0, 3)[:, None, None].repeat(1, 120, 3))
    params = {name: value.detach() for name, value in still_balls().params.items()}
    params["motion_code"] = torch.stack([(blob_labels() == 0).float(), torch.zeros(120)], 1)
    return GaussianModel(params, motion=PerTimestep.of(poses, MotionSetup(MotionParams())))


def test_a_tracked_model_keeps_its_colours_and_labels():
    result = baked(
        replace(BALLS, select=(Choice("foreground"),), gain=(1.0, 0.5, 0.0)),
        Layer("still", ply="x"),
        balls=tracked_balls(),
        still=still_balls(),
    )
    assert len(result) == 160
    expected = torch.tensor([0.5, 0.25, 0.0]).expand(40, 3)
    torch.testing.assert_close(result.trajectories.colors[1, :40], expected)
    still = sh_to_rgb(still_balls().params["f_dc"][:, 0].detach())
    torch.testing.assert_close(result.trajectories.colors[2, 40:], still)
    torch.testing.assert_close(
        torch.from_numpy(result.gaussians.f_dc[:40, 0]), rgb_to_sh(torch.tensor([1.0, 0.5, 0.0])).expand(40, 3)
    )
    background = baked(replace(BALLS, select=(Choice("background"),)), balls=tracked_balls())
    assert len(background) == 80 and background.gaussians.motion_code[:, 0].max() == 0


def test_paint_is_added_at_all_moments():
    paint = torch.zeros(120, 3)
    paint[7] = torch.tensor([0.1, -0.2, 0.3])
    for model in (still_balls(), tracked_balls()):
        plain, painted = (
            bake(Stage(Composition((BALLS,), "balls", TIMES), {"balls": Source(model, paint=some)}, TIMES))
            for some in (None, paint)
        )
        if plain.trajectories.colors is None:
            change = sh_to_rgb(torch.from_numpy(painted.gaussians.f_dc - plain.gaussians.f_dc))[:, 0] - 0.5
        else:
            change = (painted.trajectories.colors - plain.trajectories.colors)[2]
        torch.testing.assert_close(change, paint, atol=1e-5, rtol=0)
