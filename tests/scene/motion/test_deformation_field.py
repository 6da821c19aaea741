"""scene/motion/deformation_field.py: how offsets move Gaussians, and when."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from arguments import MotionParams
from scene.gaussian_model import GaussianModel
from scene.initialization import InitOptions, from_random
from scene.motion import MotionSetup, make_motion

PARAMS = MotionParams(warm_up=10, stop_MLP=20)


def moving_model(params: MotionParams = PARAMS, center=(0.0, 0.0, 0.0), radius: float = 1.0) -> GaussianModel:
    """Six Gaussians that a network with random last layers moves."""
    torch.manual_seed(0)
    model = from_random(InitOptions(count=6), ((-1.0,) * 3, (1.0,) * 3), "cpu")
    motion = make_motion("deform_mlp", MotionSetup(params, center, radius, times=tuple(range(50))))
    for head in motion.network.heads:
        torch.nn.init.normal_(head.weight, std=0.1)
        torch.nn.init.normal_(head.bias, std=0.1)
    return model.with_motion(motion)


def test_at_first_nothing_moves_even_after_the_warm_up():
    model = from_random(InitOptions(count=6), ((-1.0,) * 3, (1.0,) * 3), "cpu")
    model = model.with_motion(make_motion("deform_mlp", MotionSetup(PARAMS)))
    for name in ("means", "quats_wxyz", "scales"):
        torch.testing.assert_close(getattr(model.at(0.4), name), getattr(model.activated(), name))


def test_the_original_start_moves_everything_a_little():
    params = replace(PARAMS, compat_init=True)
    model = from_random(InitOptions(count=6), ((-1.0,) * 3, (1.0,) * 3), "cpu")
    model = model.with_motion(make_motion("deform_mlp", MotionSetup(params)))
    assert ((model.at(0.4).means - model.means).norm(dim=1) > 1e-4).all()


def test_values_are_those_of_the_formulas():
    model = moving_model(replace(PARAMS, compat_quat=True))
    offsets, moved, still = model.motion.offsets(model, 0.25), model.at(0.25), model.activated()
    torch.testing.assert_close(moved.means, still.means + offsets.shift)
    torch.testing.assert_close(moved.quats_wxyz, still.quats_wxyz + offsets.rotation)
    torch.testing.assert_close(moved.scales, still.scales + offsets.scaling)
    torch.testing.assert_close(moved.opacities, still.opacities)


def test_rotations_have_length_one_unless_the_original_is_asked_for():
    assert torch.allclose(moving_model().at(0.3).quats_wxyz.norm(dim=1), torch.ones(6))
    lengths = moving_model(replace(PARAMS, compat_quat=True)).at(0.3).quats_wxyz.norm(dim=1)
    assert (lengths - 1).abs().max() > 1e-3


@pytest.mark.parametrize("is_6dof", [False, True])
def test_a_scaled_and_shifted_scene_moves_alike(is_6dof):
    params = replace(PARAMS, is_6dof=is_6dof)
    small, large = moving_model(params), moving_model(params, (3.0, -2.0, 1.0), 10.0)
    with torch.no_grad():
        large.params["xyz"].copy_(10 * small.means + torch.tensor([3.0, -2.0, 1.0]))
    expected = 10 * small.at(0.6).means + torch.tensor([3.0, -2.0, 1.0])
    torch.testing.assert_close(large.at(0.6).means, expected, rtol=1e-4, atol=1e-4)


def test_warm_up_training_and_stop():
    model = moving_model()
    motion = model.motion
    for iteration, moves, learns in ((9, False, True), (10, True, True), (19, True, True), (20, True, False)):
        motion.on_iteration(iteration, model)
        moved = model.at(0.5)
        assert ((moved.means - model.means).abs().max() > 0) == moves
        motion.network.zero_grad()
        moved.means.sum().backward()
        gradient = motion.network.gaussian_warp.bias.grad
        assert (gradient is not None and bool(gradient.any())) == (moves and learns)


def test_no_gradient_reaches_the_positions_through_the_network():
    model = moving_model()
    model.at(0.5).means.sum().backward()
    torch.testing.assert_close(model.means.grad, torch.ones(6, 3))


def test_one_evaluation_per_moment_until_something_changes(monkeypatch):
    model = moving_model()
    calls = []
    evaluate = model.motion._evaluate
    monkeypatch.setattr(model.motion, "_evaluate", lambda *given: calls.append(given) or evaluate(*given))
    with torch.no_grad():
        for time in (0.1, 0.1, 0.2, 0.2):
            model.at(time)
        assert len(calls) == 2
        model.params["xyz"].add_(0.1)
        model.at(0.2)
        assert len(calls) == 3
    model.motion.on_iteration(15, model)
    model.at(0.2)
    model.at(0.2)
    assert len(calls) == 4


@pytest.mark.parametrize(("iteration", "sigma"), [(0, 0.1), (10_000, 0.05), (20_000, 0.0), (30_000, 0.0)])
def test_noise_on_the_time_fades(iteration, sigma):
    model = moving_model(replace(PARAMS, warm_up=0))
    model.motion.on_iteration(iteration, model)
    random.seed(0)
    noise = torch.tensor([model.motion.training_time(0.5, 7) - 0.5 for _ in range(4000)])
    assert float(noise.std()) == pytest.approx(sigma / 50, rel=0.05, abs=1e-9)


def test_noise_of_the_original_grows_as_the_round_runs_out():
    model = moving_model(replace(PARAMS, warm_up=0, compat_ast=True))
    model.motion.on_iteration(0, model)
    random.seed(0)
    noise = torch.tensor([model.motion.training_time(0.5, 2) - 0.5 for _ in range(4000)])
    assert float(noise.std()) == pytest.approx(0.1 / 2, rel=0.05)


def test_synthetic_scenes_have_no_noise():
    model = moving_model(replace(PARAMS, warm_up=0, is_blender=True))
    model.motion.on_iteration(0, model)
    assert model.motion.training_time(0.5, 2) == 0.5


def test_rates_are_the_published_ones():
    rate = moving_model().motion.rates()["deform"]
    assert [rate(step) for step in (0, 20_000, 40_000)] == pytest.approx([8e-4, 3.58e-5, 1.6e-6], rel=1e-2)


def test_the_regulariser_is_the_mean_shift():
    model = moving_model(replace(PARAMS, lambda_offset=0.5))
    model.motion.on_iteration(12, model)
    assert model.motion.losses() == {}
    shift = (model.at(0.3).means - model.means).norm(dim=1).mean()
    torch.testing.assert_close(model.motion.losses()["offset"], 0.5 * shift)
