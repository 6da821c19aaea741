"""training/cleaning.py"""

import pytest
import torch

from tests.training.test_trainer import make  # noqa: F401  the fixture that builds a trainer
from training.cleaning import clean, cleaning_step
from utils.errors import UserError


def test_strays_and_the_unseen_go_and_optimizer_and_statistics_follow(make, capsys):  # noqa: F811
    trainer = make(20, clean=True, densify_until_iter=0)
    with torch.no_grad():
        trainer.model.params["xyz"][4] = torch.tensor([0.0, 0.0, 300.0])
    before = trainer.model.means.detach().clone()
    trainer.iteration = 1
    trainer._iterate()
    clean(trainer)
    count = trainer.model.num_gaussians
    assert f"cleaned: {30 - count} of 30 Gaussians removed" in capsys.readouterr().out
    assert count < 30 and float(trainer.model.means.detach().norm(dim=1).max()) < 100 < float(before.norm(dim=1).max())
    moments = trainer.optimizer.state[trainer.model.means]
    assert len(moments["exp_avg"]) == len(trainer.density.num_seen) == count
    assert bool(moments["exp_avg"].any())


def test_it_happens_once_and_training_goes_on(make, monkeypatch):  # noqa: F811
    from training import trainer as module

    calls = []
    monkeypatch.setattr(module, "clean", lambda trainer: calls.append(trainer.iteration))
    make(20, clean=True).run()
    assert calls == [cleaning_step(20)] == [18]
    make(20).run()
    assert calls == [18]


def test_nothing_left_is_an_error(make):  # noqa: F811
    trainer = make(4, clean=True)
    with torch.no_grad():
        trainer.model.params["opacity"].fill_(-20.0)
    with pytest.raises(UserError, match="would remove every Gaussian"):
        clean(trainer)
    assert trainer.model.num_gaussians == 30


def test_very_short_runs_have_a_cleaning_step():
    assert [cleaning_step(n) for n in (1, 2, 10)] == [1, 2, 9]
