"""training/mcmc.py"""

from dataclasses import replace

import ndraster
import pytest
import torch

from arguments import OptimizationParams
from scene.gaussian_model import GaussianModel
from tests.blobs import blob_model
from tests.training.test_densification import logit, make_model, make_optimizer
from training.mcmc import (
    DEAD_OPACITY,
    MAX_COPIES,
    MarkovDensity,
    MarkovPlan,
    _binomials,
    exploration,
    relocate,
    shared_appearance,
)
from utils.errors import UserError

CAMERA = ndraster.PinholeCamera(torch.eye(4), 60.0, 60.0, 32.0, 32.0, 64, 64)
PLAN = MarkovPlan(cap=1000, interval=10, start=0, stop=1000)


def picture(opacity: float, scale: float, copies: int) -> torch.Tensor:
    """[3, H, W]: so many Gaussians in one place."""
    gaussians = ndraster.Gaussians(
        means=torch.tensor([[0.0, 0.0, 4.0]]).repeat(copies, 1),
        quats_wxyz=torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(copies, 1),
        scales=torch.full((copies, 3), scale),
        opacities=torch.full((copies,), opacity),
        colors=torch.ones(copies, 3),
    )
    return ndraster.rasterize(gaussians, CAMERA, None, ndraster.Settings(sh_degree=0), "reference").color


def shared(opacity: float, copies: int) -> tuple[float, float]:
    found = shared_appearance(torch.tensor([opacity], dtype=torch.float64), torch.tensor([copies]))
    return float(found[0]), float(found[1])


@pytest.mark.parametrize("opacity", [0.006, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("copies", [1, 2, 3, 20, MAX_COPIES])
def test_copies_are_as_opaque_in_the_middle_and_have_the_same_line_integral(opacity, copies):
    """What eq. 9 solves for, checked by numerical integration of 1 - (1 - o' G)^n."""
    new_opacity, factor = shared(opacity, copies)
    assert 1 - (1 - new_opacity) ** copies == pytest.approx(opacity, abs=1e-9)
    x = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    together = 1 - (1 - new_opacity * torch.exp(-0.5 * (x / factor) ** 2)) ** copies
    alone = opacity * torch.exp(-0.5 * x**2)
    assert float(together.sum() / alone.sum()) == pytest.approx(1.0, abs=1e-5)


def test_one_copy_stays_as_it_is():
    assert shared(0.42, 1) == (pytest.approx(0.42), pytest.approx(1.0))


def test_binomials_are_exact():
    found = _binomials(torch.tensor([4.0, 6.0], dtype=torch.float64), torch.arange(1, 7, dtype=torch.float64))
    assert found.tolist() == [[4, 6, 4, 1, 0, 0], [6, 15, 20, 15, 6, 1]]


@pytest.mark.parametrize(("opacity", "copies"), [(0.3, 2), (0.6, 2), (0.6, 3), (0.9, 2)])
def test_copies_look_as_the_one_did(opacity, copies):
    """To first order, as the paper claims: far better than plain copies, and than the opacity alone."""
    alone = picture(opacity, 0.5, 1).detach()
    new_opacity, factor = shared(opacity, copies)

    def error(*look) -> float:
        return float((picture(*look, copies).detach() - alone).abs().mean() / alone.mean())

    assert error(new_opacity, 0.5 * factor) < 0.12
    assert error(new_opacity, 0.5 * factor) < 0.6 * error(new_opacity, 0.5)
    assert error(new_opacity, 0.5 * factor) < 0.2 * error(opacity, 0.5)


def test_the_dead_move_to_the_living():
    model = make_model([0.1, 0.2, 0.3], [0.004, 0.9, 0.001])
    optimizer = make_optimizer(model)
    for parameter in model.params.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    relocate(model, optimizer, torch.tensor([True, False, True]), num_new=1)
    assert model.features[:, 0].tolist() == pytest.approx([model.features[1, 0].item()] * 4)
    new_opacity, factor = shared(float(torch.tensor(logit(0.9) - 0.025).sigmoid()), 4)  # one step of 0.025 before
    torch.testing.assert_close(model.params["opacity"].sigmoid(), torch.full((4, 1), new_opacity))
    torch.testing.assert_close(model.log_scales.exp(), torch.full((4, 3), factor * 0.2 * 0.9950125))
    assert not any(value.any() for value in (optimizer.state[model.means][k] for k in ("exp_avg", "exp_avg_sq")))
    assert all(len(group["params"][0]) == 4 for group in optimizer.param_groups)


def test_who_is_not_drawn_stays_and_keeps_its_moments():
    torch.manual_seed(0)
    model = make_model([0.1] * 3, [0.999, 0.004, 0.006])  # the third is drawn once in 170 times
    optimizer = make_optimizer(model)
    for parameter in model.params.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    before = model.params["opacity"][2].item()
    relocate(model, optimizer, torch.tensor([False, True, False]), num_new=0)
    assert model.params["opacity"][2].item() == before
    assert bool(optimizer.state[model.means]["exp_avg"][2].all())


def test_the_count_grows_by_a_twentieth_up_to_the_cap():
    torch.manual_seed(0)
    model = make_model([0.1] * 100, [0.5] * 100)
    optimizer, density = make_optimizer(model), MarkovDensity(replace(PLAN, cap=108, noise=0.0))
    counts = []
    for iteration in range(1, 41):
        density.update(model, optimizer, iteration)
        counts.append(model.num_gaussians)
    assert [counts[9], counts[19], counts[29]] == [105, 108, 108]
    assert counts[8] == 100


def test_replaced_tensors_are_counted_and_only_then():
    model = make_model([0.1] * 100, [0.5] * 100)
    optimizer, density = make_optimizer(model), MarkovDensity(replace(PLAN, cap=100))
    place = model.means
    density.update(model, optimizer, 10)  # noise, but nobody is dead and there is no room
    assert density.version == 0 and model.means is place
    density.plan = PLAN
    density.update(model, optimizer, 20)
    assert density.version == 1


def test_noise_is_for_the_faint_and_has_their_shape():
    torch.manual_seed(0)
    count = 4000
    model = make_model([1.0] * count, [0.004] * (count // 2) + [0.2] * (count // 2))
    with torch.no_grad():
        model.params["scaling"][:] = torch.tensor([0.5, 0.1, 0.02]).log()
        model.params["rotation"][:] = torch.tensor([1.0, 0.0, 0.0, 1.0])  # a quarter turn about z
    shifts = exploration(model, strength=2.0)
    spread = shifts[: count // 2].std(0)
    gate = float(torch.sigmoid(torch.tensor(-100 * (0.004 - DEAD_OPACITY))))
    torch.testing.assert_close(spread, 2 * gate * torch.tensor([0.01, 0.25, 0.0004]), rtol=0.06, atol=0)
    assert float(shifts[count // 2 :].detach().abs().max()) < 1e-5


def test_noise_follows_the_learning_rate_and_may_be_switched_off():
    model = make_model([0.1] * 50, [0.004] * 50)
    optimizer = make_optimizer(model)
    moved = []
    for rate, noise in ((1e-4, 5e5), (1e-6, 5e5), (1e-4, 0.0)):
        torch.manual_seed(0)
        optimizer.param_groups[0]["lr"] = rate
        before = model.means.detach().clone()
        MarkovDensity(replace(PLAN, noise=noise)).update(model, optimizer, 1)
        moved.append(float((model.means.detach() - before).norm()))
    assert moved[1] == pytest.approx(moved[0] / 100, rel=0.01) and moved[2] == 0.0


def test_positions_that_are_not_trained_do_not_move():
    """As after the first moment of a scene that is followed from moment to moment."""
    model = make_model([0.1] * 5, [0.004] * 5)
    model.params["xyz"].requires_grad_(False)
    before = model.means.clone()
    MarkovDensity(PLAN).update(model, make_optimizer(model), 1)
    assert torch.equal(model.means, before)


def test_a_stopped_strategy_leaves_everything_alone():
    model = make_model([0.1] * 5, [0.004] * 4 + [0.5])
    before = {name: value.clone() for name, value in model.params.items()}
    density = MarkovDensity(PLAN)
    density.stop()
    density.update(model, make_optimizer(model), 10)
    assert all(torch.equal(before[name], value) for name, value in model.params.items())


def test_nobody_alive_is_an_error():
    model = make_model([0.1], [0.001])
    with pytest.raises(UserError, match="every Gaussian is transparent at iteration 10"):
        MarkovDensity(PLAN).update(model, make_optimizer(model), 10)


def test_a_model_above_the_cap_is_said_once(capsys):
    model = make_model([0.1] * 5, [0.5] * 5)
    density = MarkovDensity(replace(PLAN, cap=3))
    for iteration in (10, 20):
        density.update(model, make_optimizer(model), iteration)
    assert capsys.readouterr().err.count("more than --cap_max 3") == 1 and model.num_gaussians == 5


def test_features_and_codes_move_along():
    model: GaussianModel = blob_model()
    optimizer = make_optimizer(model)
    dead = torch.zeros(len(model), dtype=torch.bool)
    dead[0] = True
    relocate(model, optimizer, dead, 0)
    twin = int((model.means[1:] == model.means[0]).all(1).nonzero()[0]) + 1
    assert torch.equal(model.features[0], model.features[twin])
    assert all(torch.equal(value[0], value[twin]) for value in model.params.values())


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"max_gaussians": 0}, "--cap_max"),
        ({"max_gaussians": 9, "densification_interval": 0}, "--densification_interval is 0"),
        ({"max_gaussians": 9, "noise_lr": -1.0}, "--noise_lr is -1"),
    ],
)
def test_what_is_refused(options, part):
    with pytest.raises(UserError, match=part):
        MarkovPlan.from_options(OptimizationParams(**options))
