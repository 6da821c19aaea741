"""training/optimizers.py"""

import pytest
import torch
from torch import nn

from arguments import OptimizationParams
from training.optimizers import build_optimizer, learning_rates, parameter_groups


def one_parameter(kind: str, lr: float = 0.01) -> tuple[nn.Parameter, torch.optim.Optimizer]:
    parameter = nn.Parameter(torch.zeros(4, 2))
    return parameter, build_optimizer(kind, parameter_groups({"xyz": parameter}, {"xyz": lr}))


def test_rates_are_those_of_3dgs():
    rates = learning_rates(OptimizationParams(), semantic_feature_lr=0.001, extent=2.0, motion_code_lr=0.02)
    assert rates == pytest.approx(
        {
            "xyz": 3.2e-4,
            "f_dc": 0.0025,
            "f_rest": 0.000125,
            "opacity": 0.025,
            "scaling": 0.005,
            "rotation": 0.001,
            "semantic_feature": 0.001,
            "motion_code": 0.02,
        }
    )


def test_dense_adam_equals_torchs_plain_adam():
    parameter, optimizer = one_parameter("default")
    twin = nn.Parameter(parameter.detach().clone())
    plain = torch.optim.Adam([twin], lr=0.01, eps=1e-15, fused=False, foreach=False)
    for seed in range(5):
        gradient = torch.randn(4, 2, generator=torch.Generator().manual_seed(seed))
        parameter.grad, twin.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        plain.step()
    torch.testing.assert_close(parameter, twin)


def test_sparse_adam_leaves_unseen_rows_and_their_moments_alone():
    parameter, optimizer = one_parameter("sparse_adam")
    parameter.grad = torch.ones_like(parameter)
    optimizer.step(torch.tensor([True, True, False, False]))
    first = {name: value.clone() for name, value in optimizer.state[parameter].items()}
    assert bool((parameter[:2] != 0).all()) and not parameter[2:].any()
    assert not first["exp_avg"][2:].any() and not first["exp_avg_sq"][2:].any()
    optimizer.step(torch.tensor([False, False, True, True]))
    torch.testing.assert_close(optimizer.state[parameter]["exp_avg"][:2], first["exp_avg"][:2])
    torch.testing.assert_close(parameter[2:], parameter[:2])


def test_sparse_adam_has_no_bias_correction():
    parameter, optimizer = one_parameter("sparse_adam", lr=0.01)
    parameter.grad = torch.full_like(parameter, 7.0)
    optimizer.step(torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(parameter.detach(), torch.full((4, 2), -0.01 * 0.1 / 0.001**0.5))


def test_no_gradient_no_step():
    for kind in ("default", "sparse_adam"):
        parameter, optimizer = one_parameter(kind)
        optimizer.step(torch.ones(4, dtype=torch.bool))
        assert not parameter.any()


def test_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="sparse_adam"):
        one_parameter("sgd")


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["default", "sparse_adam"])
def test_the_fused_step_equals_the_plain_one(kind):
    generator = torch.Generator().manual_seed(0)
    shapes = {"xyz": (1000, 3), "f_rest": (1000, 15, 3), "opacity": (1000, 1), "rotation": (1000, 4)}
    start = {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}
    start |= {"f_dc": torch.randn(1000, 1, 3), "scaling": torch.randn(1001)[1:].view(1000, 1)}  # not at 16 bytes
    rates = {name: 0.01 * (k + 1) for k, name in enumerate(start)}
    made = {device: _trained(kind, start, rates, device) for device in ("cpu", "cuda")}
    for name in start:
        right, ours = (made[device][0][name].detach().cpu() for device in ("cpu", "cuda"))
        torch.testing.assert_close(ours, right, rtol=1e-4, atol=1e-5)
        states = [made[device][1].state[made[device][0][name]] for device in ("cpu", "cuda")]
        assert set(states[0]) == set(states[1])
        for key, value in states[0].items():
            torch.testing.assert_close(states[1][key].cpu(), value, rtol=1e-4, atol=1e-6)


def _trained(kind: str, start: dict, rates: dict, device: str):
    """Parameters after five steps with the same gradients and rates that change."""
    params = {name: nn.Parameter(value.to(device, copy=True)) for name, value in start.items()}
    optimizer = build_optimizer(kind, parameter_groups(params, rates))
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        for group in optimizer.param_groups:
            parameter = group["params"][0]
            group["lr"] *= 0.9
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(device)
        if seed == 2:
            params["opacity"].grad = None
        optimizer.step(torch.randint(0, 2, (1000,), generator=generator, dtype=torch.int32).to(device))
    return params, optimizer
