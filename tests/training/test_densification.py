"""training/densification.py"""

import math
from types import SimpleNamespace

import pytest
import torch

from arguments import OptimizationParams
from scene.gaussian_model import GaussianModel
from training.densification import AdaptiveDensity, DensificationPlan, reset_opacities
from training.optimizers import build_optimizer, learning_rates, parameter_groups

EXTENT = 10.0  # so that scales above 0.1 are split, above 1.0 pruned
PLAN = DensificationPlan(extent=EXTENT, start=0, interval=10, stop=1000, reset_interval=300)


def logit(opacity: float) -> float:
    return math.log(opacity / (1 - opacity))


def make_model(scales: list[float], opacities: list[float]) -> GaussianModel:
    n = len(scales)
    return GaussianModel(
        {
            "xyz": torch.arange(n, dtype=torch.float32)[:, None].repeat(1, 3),
            "f_dc": torch.rand(n, 1, 3),
            "f_rest": torch.rand(n, 3, 3),
            "opacity": torch.tensor([[logit(o)] for o in opacities]),
            "scaling": torch.tensor(scales).log()[:, None].repeat(1, 3),
            "rotation": torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(n, 1),
            "semantic_feature": torch.arange(n, dtype=torch.float32)[:, None].repeat(1, 5),
        }
    )


def make_optimizer(model: GaussianModel):
    return build_optimizer("default", parameter_groups(model.params, learning_rates(OptimizationParams(), 0.001, 1.0)))


def make_density(model: GaussianModel, gradients: list[float], plan: DensificationPlan = PLAN) -> AdaptiveDensity:
    density = AdaptiveDensity(plan)
    density.reset_statistics(model)
    density.gradient_sum = torch.tensor(gradients) * 3.0
    density.num_seen = torch.full((len(gradients),), 3.0)
    return density


def view(gradient: torch.Tensor, radii: list[int], height: int = 20, width: int = 40) -> SimpleNamespace:
    probe = SimpleNamespace(grad=gradient)
    color = torch.zeros(3, height, width)
    return SimpleNamespace(screen_probe=probe, radii=torch.tensor(radii, dtype=torch.int32), color=color)


def test_pixel_gradients_are_counted_in_device_units():
    density = AdaptiveDensity(PLAN)
    density.reset_statistics(make_model([0.1] * 3, [0.5] * 3))
    gradient = torch.tensor([[3e-4, 0.0, 1.0, 1.0], [0.0, 4e-4, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    density.observe(view(gradient, [3, 3, 0]), iteration=5)
    density.observe(view(gradient, [3, 3, 0]), iteration=6)
    torch.testing.assert_close(density.gradient_sum, 2 * torch.tensor([3e-4 * 20, 4e-4 * 10, 0.0]))
    assert density.num_seen.tolist() == [2.0, 2.0, 0.0]


def test_absolute_gradients_on_request():
    density = AdaptiveDensity(DensificationPlan(extent=1.0, absgrad=True))
    density.reset_statistics(make_model([0.1], [0.5]))
    density.observe(view(torch.tensor([[0.0, 0.0, 3e-4, 0.0]]), [2]), iteration=5)
    torch.testing.assert_close(density.gradient_sum, torch.tensor([3e-4 * 20]))


def test_nothing_is_observed_after_the_end():
    density = AdaptiveDensity(PLAN)
    density.reset_statistics(make_model([0.1], [0.5]))
    density.observe(view(torch.ones(1, 4), [2]), iteration=PLAN.stop)
    assert not density.num_seen.any()


def test_small_ones_are_cloned_large_ones_split_transparent_ones_pruned():
    #         quiet, clone, split, transparent
    model = make_model([0.05, 0.05, 0.5, 0.05], [0.5, 0.5, 0.5, 0.004])
    optimizer = make_optimizer(model)
    make_density(model, [1e-4, 3e-4, 3e-4, 1e-4]).update(model, optimizer, 10)
    assert model.features[:, 0].tolist() == [0.0, 1.0, 1.0, 2.0, 2.0]
    assert model.means[:3, 0].tolist() == [0.0, 1.0, 1.0]
    torch.testing.assert_close(model.log_scales[3:].exp(), torch.full((2, 3), 0.5 / 1.6))
    assert not torch.equal(model.means[3], model.means[4])
    assert all(len(group["params"][0]) == 5 for group in optimizer.param_groups)


def test_statistics_start_anew_after_densifying():
    model = make_model([0.05] * 2, [0.5] * 2)
    density = make_density(model, [1.0, 0.0])
    density.update(model, make_optimizer(model), 10)
    assert density.gradient_sum.tolist() == [0.0] * 3 and density.num_seen.tolist() == [0.0] * 3


def test_huge_ones_are_pruned_only_after_the_first_reset():
    for iteration, left in ((290, [0.0, 1.0]), (310, [0.0])):
        model = make_model([0.05, 1.5], [0.5, 0.5])
        make_density(model, [0.0, 0.0]).update(model, make_optimizer(model), iteration)
        assert model.features[:, 0].tolist() == left


def test_screen_size_prunes_only_on_request():
    for wanted, left in ((False, 2), (True, 1)):
        plan = DensificationPlan(extent=EXTENT, start=0, interval=10, reset_interval=300, prune_screen_size=wanted)
        model = make_model([0.05, 0.05], [0.5, 0.5])
        density = AdaptiveDensity(plan)
        density.reset_statistics(model)
        density.observe(view(torch.zeros(2, 4), [5, 25]), iteration=305)
        density.update(model, make_optimizer(model), 310)
        assert model.num_gaussians == left


@pytest.mark.parametrize(("cap", "expected"), [(0, 8), (6, 6), (4, 4), (3, 4)])
def test_the_cap_prefers_steep_gradients(cap, expected):
    plan = DensificationPlan(extent=EXTENT, start=0, interval=10, max_gaussians=cap)
    model = make_model([0.05, 0.5, 0.05, 0.5], [0.5] * 4)
    make_density(model, [3e-4, 4e-4, 5e-4, 6e-4], plan).update(model, make_optimizer(model), 10)
    assert model.num_gaussians == expected
    if cap == 6:
        assert sorted(model.features[:, 0].tolist()) == [0.0, 1.0, 2.0, 2.0, 3.0, 3.0]


def test_losing_every_gaussian_is_an_error():
    model = make_model([0.05], [0.001])
    with pytest.raises(ValueError, match="every Gaussian was pruned at iteration 10"):
        make_density(model, [0.0]).update(model, make_optimizer(model), 10)


def test_opacity_reset_lowers_only_what_is_above_and_forgets_moments():
    model = make_model([0.05] * 2, [0.9, 0.007])
    optimizer = make_optimizer(model)
    for parameter in model.params.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    before = model.params["opacity"].sigmoid()[1, 0].item()
    reset_opacities(model, optimizer)
    assert model.params["opacity"].sigmoid().flatten().tolist() == pytest.approx([0.01, before])
    assert not optimizer.state[model.params["opacity"]]["exp_avg"].any()
    assert optimizer.state[model.params["xyz"]]["exp_avg"].all()


def test_calendar():
    plan = DensificationPlan.from_options(OptimizationParams(), extent=1.0, white_background=True)
    assert [i for i in range(16_000) if plan.densifies_at(i)] == list(range(600, 15_000, 100))
    assert [i for i in range(1, 30_001) if plan.resets_at(i)] == [500, 3000, 6000, 9000, 12_000]
    dark = DensificationPlan.from_options(OptimizationParams(), extent=1.0, white_background=False)
    assert not dark.resets_at(500)
    assert plan.prunes_large_at(3001) and not plan.prunes_large_at(3000)


def test_intervals_must_be_positive():
    with pytest.raises(ValueError, match="densification_interval"):
        DensificationPlan.from_options(OptimizationParams(densification_interval=0), 1.0, False)
