"""training/state.py: what the end-to-end resume tests of test_train.py do not see."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from training import state
from training.densification import AdaptiveDensity, DensificationPlan
from training.inactive_purge import InactivePurge, PurgePlan
from training.optimizers import build_optimizer, parameter_groups
from training.schedules import CameraOrder
from utils.seeds import rng_state


def make_trainer(features: int = 4) -> SimpleNamespace:
    params = {"xyz": nn.Parameter(torch.zeros(3, 3)), "semantic_feature": nn.Parameter(torch.zeros(3, features))}
    optimizer = build_optimizer("default", parameter_groups(params, dict.fromkeys(params, 0.1)))
    for parameter in params.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return SimpleNamespace(
        iteration=5,
        seconds=1.0,
        params=params,
        optimizer=optimizer,
        motion_optimizer=None,
        distiller=None,
        exposure=None,
        order=CameraOrder(4),
        model=None,
        density=AdaptiveDensity(DensificationPlan(extent=1.0)),
        purge=InactivePurge(PurgePlan()),
    )


def test_feature_3dgs_moments_are_reshaped():
    """Its feature tensor is [N, 1, D]."""
    saved = make_trainer().optimizer.state_dict()
    for name in ("exp_avg", "exp_avg_sq"):
        saved["state"][1][name] = saved["state"][1][name][:, None] * 2.0
    trainer = make_trainer()
    state.restore(trainer, {"iteration": 9, "optimizer": saved})
    moments = trainer.optimizer.state[trainer.params["semantic_feature"]]
    assert trainer.iteration == 9 and moments["exp_avg"].shape == (3, 4)
    torch.testing.assert_close(moments["exp_avg"], torch.full((3, 4), 0.2))


def test_graphdeco_statistics_are_taken_over():
    trainer = make_trainer()
    trainer.density = AdaptiveDensity(DensificationPlan(extent=1.0), *(torch.zeros(3) for _ in range(3)))
    legacy = {"xyz_gradient_accum": torch.ones(3, 1), "denom": torch.full((3, 1), 2.0), "max_radii2D": torch.ones(3)}
    state.restore(trainer, {"iteration": 9, "legacy": legacy})
    assert trainer.density.gradient_sum.tolist() == [1.0] * 3
    assert trainer.density.num_seen.tolist() == [2.0] * 3


def test_command_line_rates_win():
    saved = make_trainer().optimizer.state_dict()
    saved["param_groups"][0]["lr"] = 7.0
    trainer = make_trainer()
    state.restore(trainer, {"iteration": 9, "optimizer": saved})
    assert trainer.optimizer.param_groups[0]["lr"] == 0.1


def test_moments_of_another_model_are_refused():
    with pytest.raises(ValueError, match="semantic_feature.exp_avg has shape"):
        state.restore(make_trainer(4), {"iteration": 9, "optimizer": make_trainer(5).optimizer.state_dict()})


@pytest.mark.parametrize("remaining", [[], [4], [-1]])
def test_a_camera_order_of_another_scene_is_refused(remaining):
    with pytest.raises(ValueError, match="4 training views"):
        state.restore(make_trainer(), {"iteration": 9, "camera_order": remaining, "rng": rng_state()})
