"""Checkpoints: round trip, legacy tuples, and files that are refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from scene.checkpoint import (
    checkpoint_path,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from scene.gaussian_model import GaussianModel
from scene.initialization import InitOptions, from_random
from tests.layer_models import lists_of
from utils.errors import UserError
from utils.seeds import rng_state, set_rng_state

BOX = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))


def trained(feature_dim=4, steps=3):
    """A model and its Adam after a few steps."""
    model = from_random(InitOptions(count=20, sh_degree=1, feature_dim=feature_dim), BOX, "cpu")
    groups = [{"params": [value], "lr": 0.01, "name": name} for name, value in model.params.items()]
    optimizer = torch.optim.Adam(groups, eps=1e-15)
    for _ in range(steps):
        step(model, optimizer)
    return model, optimizer


def step(model, optimizer):
    """One step on an arbitrary loss with a random target."""
    optimizer.zero_grad()
    sum((value - torch.rand(())).square().sum() for value in model.params.values()).backward()
    optimizer.step()


def test_interrupted_equals_uninterrupted(tmp_path):
    model, optimizer = trained()
    path = checkpoint_path(tmp_path, 3)
    state = {"iteration": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": rng_state()}
    save_checkpoint(path, state)
    for _ in range(4):
        step(model, optimizer)
    loaded = load_checkpoint(path)
    assert loaded["iteration"] == 3
    resumed = GaussianModel.from_state_dict(loaded["model"])
    groups = [{"params": [value], "lr": 0.01, "name": name} for name, value in resumed.params.items()]
    resumed_optimizer = torch.optim.Adam(groups, eps=1e-15)
    resumed_optimizer.load_state_dict(loaded["optimizer"])
    set_rng_state(loaded["rng"])
    for _ in range(4):
        step(resumed, resumed_optimizer)
    for name, value in model.params.items():
        assert torch.equal(resumed.params[name], value), name


def test_latest_checkpoint_counts_iterations(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    model, _ = trained()
    for iteration in (900, 1000, 30):
        save_checkpoint(checkpoint_path(tmp_path, iteration), {"iteration": iteration, "model": model.state_dict()})
    (tmp_path / "chkpnt_copy.pth").write_bytes(b"")
    assert latest_checkpoint(tmp_path) == tmp_path / "chkpnt1000.pth"


def legacy_state(model, optimizer, scale, feature_rank=None):
    """graphdeco's tuple of 12 values, or Feature 3DGS's of 13."""
    parameters = [model.params[name] for name in ("xyz", "f_dc", "f_rest", "scaling", "rotation", "opacity")]
    count = len(model)
    statistics = (torch.zeros(count), torch.ones(count, 1), torch.ones(count, 1))
    state = (1, *parameters, *statistics, optimizer.state_dict(), scale)
    return state if feature_rank is None else (*state, torch.nn.Parameter(model.features.detach()[:, None]))


@pytest.mark.parametrize("scale", [2.5, np.float32(2.5), np.float64(2.5)])
def test_graphdeco_checkpoint(tmp_path, scale):
    model, optimizer = trained(feature_dim=0)
    torch.save((legacy_state(model, optimizer, scale), 7000), tmp_path / "chkpnt7000.pth")
    loaded = load_checkpoint(tmp_path / "chkpnt7000.pth")
    assert loaded["iteration"] == 7000 and loaded["legacy"]["spatial_lr_scale"] == 2.5
    read = GaussianModel.from_state_dict(loaded["model"])
    assert read.active_sh_degree == 1
    for name, value in model.params.items():
        assert torch.equal(read.params[name], value), name
    assert [group["name"] for group in loaded["optimizer"]["param_groups"]] == list(model.params)


def test_feature_3dgs_checkpoint(tmp_path):
    model, optimizer = trained(feature_dim=4)
    state = legacy_state(model, optimizer, 1.0, feature_rank=3)
    moments = state[10]["state"][6]
    moments["exp_avg"], moments["exp_avg_sq"] = moments["exp_avg"][:, None], moments["exp_avg_sq"][:, None]
    torch.save((state, 5), tmp_path / "a.pth")
    loaded = load_checkpoint(tmp_path / "a.pth")
    assert torch.equal(loaded["model"]["params"]["semantic_feature"], model.features)
    assert loaded["optimizer"]["state"][6]["exp_avg"].shape == (20, 4)


def test_multi_layer_3dgs_checkpoint(tmp_path):
    """18 values: the last six are lists of frozen layers, the newest first."""
    model, optimizer = trained(feature_dim=0)
    others = [from_random(InitOptions(count=count, sh_degree=1), BOX, "cpu") for count in (5, 7)]
    state = (*legacy_state(model, optimizer, 1.0), *lists_of(*others))
    torch.save((state, 7000), tmp_path / "chkpnt7000.pth")
    read = GaussianModel.from_state_dict(load_checkpoint(tmp_path / "chkpnt7000.pth")["model"])
    assert len(read) == 20 and [len(layer) for layer in read.layers] == [7, 5]
    assert torch.equal(read.layers.layers[1].tensors["scaling"], others[0].log_scales)
    torch.save(((*legacy_state(model, optimizer, 1.0), *([],) * 6), 7000), tmp_path / "a.pth")
    assert not GaussianModel.from_state_dict(load_checkpoint(tmp_path / "a.pth")["model"]).layers


class Bomb:
    """Runs something when it is unpickled."""

    def __reduce__(self):
        return (print, ("boom",))


@pytest.mark.parametrize(
    "content",
    [
        [1, 2, 3],
        ((1, 2, 3), 4),
        ((0,) * 12, 4),
        ((0,) * 18, 4),
        {"weights": torch.zeros(3)},
        {"format": "splat-distill checkpoint", "version": 99},
        {"format": "splat-distill checkpoint", "version": 1, "iteration": 3},
        {"format": "splat-distill checkpoint", "version": 1, "iteration": 3, "model": {"params": {"xyz": 1}}},
        Bomb(),
        {"format": "splat-distill checkpoint", "version": 1, "iteration": Bomb()},
    ],
)
def test_what_is_no_checkpoint_is_one_line(tmp_path, content, capsys):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a.pth") as caught:
        load_checkpoint(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)
    assert "boom" not in capsys.readouterr().out


def test_plain_pickle_bomb_truncation_and_wrong_files(tmp_path, capsys):
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError):
        load_checkpoint(tmp_path / "a.pth")
    assert "boom" not in capsys.readouterr().out
    model, _ = trained()
    save_checkpoint(tmp_path / "b.pth", {"iteration": 1, "model": model.state_dict()})
    whole = (tmp_path / "b.pth").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "b.pth").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"b.pth"):
            load_checkpoint(tmp_path / "b.pth")
    with pytest.raises(UserError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "c.pth")
    (tmp_path / "d.ply").write_text("ply")
    with pytest.raises(UserError, match="--start_ply"):
        load_checkpoint(tmp_path / "d.ply")


def test_incomplete_state_is_not_written(tmp_path):
    with pytest.raises(UserError, match="without iteration and model"):
        save_checkpoint(tmp_path / "a.pth", {"iteration": 1})
    assert list(tmp_path.iterdir()) == []
