"""The Gaussian model: names, shapes, activations."""

from __future__ import annotations

import pytest
import torch

from scene.gaussian_model import GaussianModel


def params(count=5, degree=2, feature_dim=0):
    """Random stored values."""
    torch.manual_seed(0)
    values = {
        "xyz": torch.randn(count, 3),
        "f_dc": torch.randn(count, 1, 3),
        "f_rest": torch.randn(count, (degree + 1) ** 2 - 1, 3),
        "opacity": torch.randn(count, 1),
        "scaling": torch.randn(count, 3),
        "rotation": torch.randn(count, 4),
    }
    return values | ({"semantic_feature": torch.randn(count, feature_dim)} if feature_dim else {})


def test_activated_values():
    values = params(feature_dim=7)
    model = GaussianModel(values)
    gaussians = model.activated()
    torch.testing.assert_close(gaussians.means, values["xyz"])
    torch.testing.assert_close(gaussians.scales.log(), values["scaling"])
    torch.testing.assert_close(gaussians.opacities.logit(), values["opacity"][:, 0])
    torch.testing.assert_close(gaussians.quats_wxyz.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(gaussians.sh, values["f_dc"])
    torch.testing.assert_close(gaussians.sh_rest, values["f_rest"])
    torch.testing.assert_close(gaussians.features, values["semantic_feature"])
    assert GaussianModel(params()).activated().features is None


def test_gradients_reach_every_parameter():
    model = GaussianModel(params(feature_dim=2))
    gaussians = model.activated()
    fields = ("means", "quats_wxyz", "scales", "opacities", "sh", "sh_rest", "features")
    sum(getattr(gaussians, name).square().sum() + getattr(gaussians, name).sum() for name in fields).backward()
    for name, parameter in model.params.items():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_degrees(degree):
    model = GaussianModel(params(degree=degree), active_sh_degree=0)
    assert model.max_sh_degree == degree and model.sh.shape == (5, (degree + 1) ** 2, 3)
    seen = []
    for _ in range(5):
        seen.append(model.active_sh_degree)
        model.oneup_sh_degree()
    assert seen == [min(step, degree) for step in range(5)]


def test_subset_by_mask_and_by_index():
    model = GaussianModel(params(feature_dim=3), active_sh_degree=1)
    mask = torch.tensor([True, False, False, True, True])
    for chosen in (model.subset(mask), model.subset(torch.tensor([0, 3, 4]))):
        assert (chosen.num_gaussians, chosen.active_sh_degree, chosen.feature_dim) == (3, 1, 3)
        torch.testing.assert_close(chosen.features, model.features[mask])
    assert model.subset(torch.zeros(5, dtype=torch.bool)).activated().means.shape == (0, 3)
    model.params["xyz"].requires_grad_(False)
    assert not model.subset(mask).means.requires_grad


def test_state_round_trip():
    model = GaussianModel(params(feature_dim=3), active_sh_degree=1)
    other = GaussianModel.from_state_dict(model.state_dict())
    assert other.active_sh_degree == 1 and other.params.keys() == model.params.keys()
    for name, value in model.params.items():
        torch.testing.assert_close(other.params[name], value, rtol=0, atol=0)


def test_arrays_round_trip_and_features():
    model = GaussianModel(params(feature_dim=3))
    other = GaussianModel.from_arrays(model.to_arrays())
    torch.testing.assert_close(other.features, model.features, rtol=0, atol=0)
    assert other.with_features(None).features is None
    assert other.with_features(torch.zeros(5, 9)).feature_dim == 9
    assert other.at(0.3).means is other.means


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xyz": torch.zeros(5, 2)}, "xyz has shape"),
        ({"opacity": torch.zeros(5)}, "opacity has shape"),
        ({"rotation": torch.zeros(4, 4)}, "rotation has shape"),
        ({"f_rest": torch.zeros(5, 7, 3)}, "f_rest has shape"),
        ({"semantic_feature": torch.zeros(5, 1, 4)}, "semantic_feature has shape"),
        ({"colour": torch.zeros(5)}, r"unknown \['colour'\]"),
    ],
)
def test_wrong_shapes_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        GaussianModel(params() | change)
    incomplete = params()
    del incomplete["scaling"]
    with pytest.raises(ValueError, match=r"missing \['scaling'\]"):
        GaussianModel(incomplete)
