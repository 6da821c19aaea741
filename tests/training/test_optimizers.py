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
    rates = learning_rates(OptimizationParams(), semantic_feature_lr=0.001, extent=2.0)
    assert rates == pytest.approx(
        {
            "xyz": 3.2e-4,
            "f_dc": 0.0025,
            "f_rest": 0.000125,
            "opacity": 0.025,
            "scaling": 0.005,
            "rotation": 0.001,
            "semantic_feature": 0.001,
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
