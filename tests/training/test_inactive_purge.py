"""training/inactive_purge.py: the thresholds, the sum that is compared with them, and what goes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from arguments import ModelParams, MotionParams, OptimizationParams, PipelineParams, SemanticParams, TrainParams
from tests.blobs import blob_model
from training.densification import AdaptiveDensity, DensificationPlan
from training.inactive_purge import InactivePurge, PurgePlan
from training.optimizers import build_optimizer, learning_rates, parameter_groups
from training.options import RunOptions
from training.run_log import RunLog
from utils.errors import UserError
from utils.files import read_jsonl


def plan_of(over_layers: bool, **flags) -> PurgePlan:
    train = TrainParams(freeze_geometry=flags.pop("freeze_geometry", False))
    groups = (ModelParams(), PipelineParams(), OptimizationParams(**flags), SemanticParams(), MotionParams(), train)
    return PurgePlan.from_options(RunOptions(*groups), over_layers)


@pytest.mark.parametrize(("iteration", "threshold"), [(100, 0.015), (5000, 0.00434), (14_900, 0.000354)])
def test_the_published_thresholds(iteration, threshold):
    plan = plan_of(over_layers=True)
    assert plan.purges_at(iteration)
    assert plan.threshold_at(iteration) == pytest.approx(threshold, rel=2e-3)


def test_the_last_of_149_rounds_comes_before_densification_ends():
    plan = plan_of(over_layers=True)
    rounds = [iteration for iteration in range(1, 30_001) if plan.purges_at(iteration)]
    assert (len(rounds), rounds[0], rounds[-1]) == (149, 100, 14_900)


def test_it_is_on_only_over_layers_or_when_asked():
    assert not plan_of(over_layers=False).is_on
    assert plan_of(over_layers=False, inactive_purge_threshold=0.02).threshold == 0.02
    assert not plan_of(over_layers=True, inactive_purge_threshold=-1.0).is_on
    assert plan_of(over_layers=True, inactive_purge_decay=0.9).threshold_at(200) == pytest.approx(0.0135)
    assert not plan_of(over_layers=False, inactive_purge_threshold=0.02, freeze_geometry=True).is_on


def make_trainer(plan: PurgePlan) -> SimpleNamespace:
    """What the purge asks of a trainer, on 30 Gaussians."""
    model = blob_model(per_blob=10).with_features(None)
    groups = parameter_groups(model.params, learning_rates(OptimizationParams(), 0.0, 1.0))
    optimizer = build_optimizer("default", groups)
    density = AdaptiveDensity(DensificationPlan(extent=1.0))
    density.reset_statistics(model)
    for parameter in model.params.values():
        parameter.grad = torch.ones_like(parameter)
    return SimpleNamespace(
        model=model, optimizer=optimizer, density=density, iteration=0, options=None, purge=InactivePurge(plan)
    )


def move(trainer, shift: torch.Tensor) -> None:
    """One iteration in which Gaussian i moves by shift [N] along x and z, and changes colour and size by as much."""
    trainer.purge.begin(trainer.model, trainer.density.version)
    trainer.purge.observe(trainer.model)
    with torch.no_grad():
        for name, axes in (("xyz", (0, 2)), ("f_dc", (0,)), ("scaling", (1,))):
            for axis in axes:
                trainer.model.params[name].view(len(shift), -1)[:, axis] += shift
    trainer.iteration += 1


def test_change_is_the_weighted_sum_over_iterations_of_the_distance_from_the_start():
    trainer = make_trainer(PurgePlan(threshold=0.01))
    shift = torch.linspace(0, 0.1, 30)
    for _ in range(4):
        move(trainer, shift)
    # before the k-th step a Gaussian is k - 1 shifts away: 0 + 1 + 2 + 3
    expected = 6 * shift * (2 * 2**0.5 + 0.1 + 0.1)
    torch.testing.assert_close(trainer.purge.change, expected, atol=1e-5, rtol=1e-4)


def test_what_did_not_learn_goes_with_its_moments_and_statistics(tmp_path):
    trainer = make_trainer(PurgePlan(threshold=0.01, interval=3))
    trainer.optimizer.step()
    still = torch.arange(30) % 5 == 0
    before = trainer.model.means.detach().clone()
    trainer.density.gradient_sum += torch.arange(30)
    version = trainer.density.version
    with RunLog(tmp_path) as log:
        for _ in range(3):
            move(trainer, torch.where(still, 0.0, 0.1))
            trainer.purge.update(trainer, log)
    assert trainer.model.num_gaussians == 24 and trainer.density.version > version
    torch.testing.assert_close(trainer.model.means[:, 1], before[~still, 1])
    assert trainer.density.gradient_sum.tolist() == torch.arange(30)[~still].tolist()
    moments = trainer.optimizer.state[trainer.model.params["xyz"]]["exp_avg"]
    assert moments.shape == (24, 3) and bool((moments != 0).all())
    (record,) = read_jsonl(tmp_path / "metrics.jsonl")
    assert record == {"iteration": 3, "split": "purge", "removed": 6, "threshold": 0.01, "count": 24}


def test_the_window_is_one_interval(tmp_path):
    trainer = make_trainer(PurgePlan(threshold=1e-9, interval=2))
    with RunLog(tmp_path) as log:
        for _ in range(2):
            move(trainer, torch.full((30,), 0.1))
            trainer.purge.update(trainer, log)
    place = trainer.purge.change.data_ptr()
    trainer.purge.begin(trainer.model, trainer.density.version)
    assert not trainer.purge.change.any() and trainer.purge.change.data_ptr() == place  # where a CUDA graph writes
    torch.testing.assert_close(trainer.purge.start["xyz"], trainer.model.means.detach())
    move(trainer, torch.full((30,), 0.1))
    trainer.density.reset_statistics(trainer.model)  # as a clone, a split or a prune does
    trainer.purge.begin(trainer.model, trainer.density.version)
    assert not trainer.purge.change.any()


def test_a_purge_of_everything_is_refused(tmp_path):
    trainer = make_trainer(PurgePlan(threshold=0.01, interval=1))
    move(trainer, torch.zeros(30))
    with pytest.raises(UserError, match="--inactive_purge_threshold"):
        trainer.purge.update(trainer, RunLog(tmp_path))
    assert trainer.model.num_gaussians == 30


def test_switched_off_it_keeps_nothing(tmp_path, capsys):
    trainer = make_trainer(PurgePlan())
    for _ in range(100):
        move(trainer, torch.zeros(30))
    trainer.purge.update(trainer, RunLog(tmp_path))
    trainer.purge.say_total()
    assert trainer.purge.state_dict(0) == {} and len(trainer.purge.change) == 0
    assert capsys.readouterr().out == "" and not (tmp_path / "metrics.jsonl").exists()


def test_a_resumed_window_goes_on():
    one, other = make_trainer(PurgePlan(threshold=0.01)), make_trainer(PurgePlan(threshold=0.01))
    move(one, torch.full((30,), 0.1))
    saved = one.purge.state_dict(one.density.version)
    for name, value in one.model.params.items():
        other.model.params[name].data.copy_(value)
    other.density.version = 77
    other.purge.load_state_dict(saved, other.model, 77)
    for trainer in (one, other):
        trainer.purge.begin(trainer.model, trainer.density.version)
        trainer.purge.observe(trainer.model)
    assert torch.equal(one.purge.change, other.purge.change) and bool(one.purge.change.any())
    over = one.purge.state_dict(one.density.version + 1)  # rows have changed since: the next window is a new one
    other.purge = InactivePurge(other.purge.plan)
    other.purge.load_state_dict(over, other.model, 77)
    assert len(other.purge.change) == 0
