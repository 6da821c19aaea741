"""training/parameter_surgery.py"""

import math

import pytest
import torch
from torch import nn

from training.optimizers import build_optimizer, parameter_groups
from training.parameter_surgery import RowEdit, apply_edit, grow_edit, sample_children, zero_moments


def make_params(n: int) -> dict[str, nn.Parameter]:
    rows = torch.arange(n, dtype=torch.float32)
    return {"xyz": nn.Parameter(rows[:, None].repeat(1, 3)), "f_dc": nn.Parameter(rows[:, None, None].repeat(1, 1, 3))}


def stepped(params: dict[str, nn.Parameter], kind: str = "default") -> torch.optim.Optimizer:
    optimizer = build_optimizer(kind, parameter_groups(params, dict.fromkeys(params, 0.0)))
    for parameter in params.values():
        parameter.grad = parameter.detach() + 1.0
    optimizer.step(torch.ones(len(params["xyz"]), dtype=torch.bool))
    return optimizer


def test_rows_after_growing():
    clone = torch.tensor([True, False, False, False])
    split = torch.tensor([False, True, False, True])
    edit = grow_edit(4, clone, split, children=2)
    assert edit.source.tolist() == [0, 2, 0, 1, 3, 1, 3]
    assert edit.is_new.tolist() == [False, False, True, True, True, True, True]


@pytest.mark.parametrize("kind", ["default", "sparse_adam"])
def test_moments_follow_their_rows_and_new_rows_start_at_zero(kind):
    params = make_params(4)
    optimizer = stepped(params, kind)
    before = {n: {k: v.clone() for k, v in optimizer.state[p].items()} for n, p in params.items()}
    edit = RowEdit(torch.tensor([3, 1, 1]), torch.tensor([False, False, True]))
    apply_edit(params, optimizer, edit)
    for name, parameter in params.items():
        assert parameter.detach().flatten(1)[:, 0].tolist() == [3.0, 1.0, 1.0]
        state = optimizer.state[parameter]
        for moment in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(state[moment][:2], before[name][moment][[3, 1]])
            assert not state[moment][2].any()
        assert kind == "sparse_adam" or float(state["step"]) == 1.0
    assert len(optimizer.state) == len(params)
    assert [group["params"][0] is params[group["name"]] for group in optimizer.param_groups] == [True, True]


def test_the_optimizer_moves_the_new_parameter():
    params = make_params(3)
    optimizer = stepped(params)
    apply_edit(params, optimizer, RowEdit(torch.arange(3), torch.zeros(3, dtype=torch.bool)))
    optimizer.param_groups[0]["lr"] = 0.1
    params["xyz"].grad = torch.ones_like(params["xyz"])
    before = params["xyz"].detach().clone()
    optimizer.step()
    assert bool((params["xyz"].detach() < before).all())


def test_replaced_values_win():
    params = make_params(2)
    edit = RowEdit(torch.tensor([0, 1]), torch.tensor([False, True]))
    apply_edit(params, stepped(params), edit, {"xyz": torch.ones(2, 3)})
    assert params["xyz"].tolist() == [[1.0] * 3] * 2
    assert params["f_dc"].flatten(1)[:, 0].tolist() == [0.0, 1.0]


def test_forgetting_moments_keeps_the_step_count():
    params = make_params(3)
    optimizer = stepped(params)
    zero_moments(optimizer, params["xyz"])
    state = optimizer.state[params["xyz"]]
    assert not state["exp_avg"].any() and not state["exp_avg_sq"].any() and float(state["step"]) == 1.0
    assert optimizer.state[params["f_dc"]]["exp_avg"].any()


def test_children_follow_the_parents_distribution():
    torch.manual_seed(0)
    n = 20_000
    quarter_turn = torch.tensor([math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)])  # about z: x -> y
    log_scales = torch.tensor([math.log(2.0), math.log(0.5), math.log(0.1)]).repeat(n, 1)
    means, shrunk = sample_children(torch.full((n, 3), 5.0), log_scales, quarter_turn.repeat(n, 1) * 3.0, 1.6)
    torch.testing.assert_close(means.mean(0), torch.full((3,), 5.0), atol=0.05, rtol=0)
    torch.testing.assert_close(means.std(0), torch.tensor([0.5, 2.0, 0.1]), atol=0.0, rtol=0.03)
    torch.testing.assert_close(shrunk.exp(), log_scales.exp() / 1.6)
