"""Checkpoints for other programs: their tuples, their optimizers, and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from scene.checkpoint import load_checkpoint
from scene.legacy_checkpoint import GROUPS, LegacyState, save_legacy_checkpoint
from tests.scene.formats.arrays import cloud
from utils.files import load_torch


def state(feature_dim=0, **changes):
    params = {name: torch.from_numpy(value) for name, value in cloud(9, feature_dim=feature_dim).named().items()}
    return replace(LegacyState(params, iteration=7000, active_sh_degree=2, extent=4.5), **changes)


def restored_optimizer(content, names):
    """What the other program does: parameters from the tuple, groups in its order, then load_state_dict."""
    values = dict(zip(("xyz", "f_dc", "f_rest", "scaling", "rotation", "opacity"), content[0][1:7], strict=True))
    values["semantic_feature"] = values["label"] = content[0][-1]
    adam = torch.optim.Adam([{"params": [values[name]], "lr": 1.0, "name": name} for name in names], eps=1e-15)
    adam.load_state_dict(content[0][10])
    for group in adam.param_groups:
        group["params"][0].grad = torch.ones_like(group["params"][0])
    adam.step()
    return adam


def test_graphdeco_goes_on_from_it(tmp_path):
    moments = {"xyz": {"step": torch.tensor(9.0), "exp_avg": torch.ones(9, 3), "exp_avg_sq": torch.full((9, 3), 2.0)}}
    save_legacy_checkpoint(tmp_path / "chkpnt7000.pth", state(moments=moments))
    content = load_torch(tmp_path / "chkpnt7000.pth")
    assert len(content) == 2 and content[1] == 7000 and len(content[0]) == 12
    assert content[0][0] == 2 and content[0][11] == 4.5
    assert [tuple(value.shape) for value in content[0][7:10]] == [(9,), (9, 1), (9, 1)]
    assert all(isinstance(value, torch.nn.Parameter) for value in content[0][1:7])
    adam = restored_optimizer(content, GROUPS)
    assert adam.param_groups[0]["lr"] == pytest.approx(0.00016 * 4.5)
    assert adam.state[content[0][1]]["step"] == 10 and adam.state[content[0][2]]["step"] == 1


@pytest.mark.parametrize(("name", "shape"), [("semantic_feature", (9, 1, 5)), ("label", (9, 5))])
def test_features_and_labels_come_last(tmp_path, name, shape):
    moments = {"semantic_feature": {"step": 3.0, "exp_avg": torch.ones(9, 5), "exp_avg_sq": torch.ones(9, 5)}}
    save_legacy_checkpoint(tmp_path / "a.pth", state(5, features_as=name, moments=moments))
    content = load_torch(tmp_path / "a.pth")
    assert len(content[0]) == 13 and tuple(content[0][12].shape) == shape
    adam = restored_optimizer(content, (*GROUPS, name))
    assert adam.state[content[0][12]]["exp_avg"].shape == shape
    assert content[0][10]["param_groups"][6]["name"] == name


@pytest.mark.parametrize("feature_dim", [0, 5])
def test_it_comes_back(tmp_path, feature_dim):
    written = state(feature_dim)
    save_legacy_checkpoint(tmp_path / "a.pth", written)
    read = load_checkpoint(tmp_path / "a.pth")
    assert (read["iteration"], read["model"]["active_sh_degree"]) == (7000, 2)
    assert read["legacy"]["spatial_lr_scale"] == 4.5
    assert read["model"]["params"].keys() == written.params.keys()
    for name, value in written.params.items():
        assert torch.equal(read["model"]["params"][name], value), name


def test_layers_are_six_lists(tmp_path):
    layer = state().params
    save_legacy_checkpoint(tmp_path / "a.pth", state(layers=[layer, layer, layer]))
    content = load_torch(tmp_path / "a.pth")[0]
    assert len(content) == 18 and [len(entries) for entries in content[12:]] == [3] * 6
    assert [tuple(entries[0].shape[1:]) for entries in content[12:]] == [(3,), (1, 3), (15, 3), (3,), (4,), (1,)]
    save_legacy_checkpoint(tmp_path / "b.pth", state(layers=[]))
    assert load_torch(tmp_path / "b.pth")[0][12:] == ([], [], [], [], [], [])
