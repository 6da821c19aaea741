"""training/strategy.py: both strategies serve the loop in the same way."""

import inspect

import pytest
import torch

from arguments import OptimizationParams
from tests.training.test_densification import make_model, make_optimizer
from training.densification import AdaptiveDensity
from training.mcmc import MarkovDensity
from training.strategy import Strategy, make_strategy

HOOKS = [name for name, member in vars(Strategy).items() if inspect.isfunction(member) and not name.startswith("_")]
KINDS = {"adaptive": AdaptiveDensity, "mcmc": MarkovDensity}


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_chooses_and_all_hooks_are_there(kind):
    made = make_strategy(OptimizationParams(densification=kind, max_gaussians=50), 1.0, False)
    assert type(made) is KINDS[kind] and made.version == 0
    assert len(HOOKS) == 7
    for name in HOOKS:
        theirs, ours = (list(inspect.signature(getattr(kind, name)).parameters) for kind in (Strategy, type(made)))
        assert ours == theirs, name


@pytest.mark.parametrize("kind", KINDS)
def test_each_takes_a_checkpoint_of_the_other(kind):
    model = make_model([0.1] * 3, [0.5] * 3)
    for other in KINDS:
        saved = make_strategy(OptimizationParams(densification=other, max_gaussians=50), 1.0, False)
        saved.reset_statistics(model)
        ours = make_strategy(OptimizationParams(densification=kind, max_gaussians=50), 1.0, False)
        ours.reset_statistics(model)
        ours.load_state_dict(saved.state_dict())
        ours.update(model, make_optimizer(model), 1)
        assert model.num_gaussians == 3


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_happens_once_stopped(kind):
    model = make_model([0.1] * 4, [0.004, 0.5, 0.5, 0.5])
    ours = make_strategy(OptimizationParams(densification=kind, max_gaussians=50, densify_from_iter=0), 1.0, False)
    ours.reset_statistics(model)
    ours.stop()
    before = model.means.detach().clone()
    for iteration in (100, 3000):
        ours.update(model, make_optimizer(model), iteration)
    assert torch.equal(model.means, before) and not ours.observes_at(1)
