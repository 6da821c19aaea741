"""scene/layers.py: what is drawn of frozen layers, and that nothing of them is trained."""

from __future__ import annotations

import pytest
import torch

from gaussian_renderer import first_rows, render
from scene.gaussian_model import GaussianModel
from scene.layer_files import whole_arrays
from scene.layers import NO_LAYERS, FrozenLayer, FrozenLayers, layers_of_lists, padded_rest
from tests.blobs import REFERENCE, ring_cameras
from tests.layer_models import PER_BALL, ball, frozen, layered, lists_of

CAMERA = ring_cameras(1, 40, 32)[0]


def test_without_layers_nothing_changes():
    model = ball(0)
    assert model.layers is NO_LAYERS and not model.layers and model.drawn_sh_degree == 0
    gaussians = model.activated()
    assert NO_LAYERS.behind(gaussians, 0) is gaussians
    assert "layers" not in model.state_dict()


@pytest.mark.parametrize("degrees", [(3, 0), (1, 2), (0, 0)])
def test_a_model_over_layers_looks_like_all_of_them_together(degrees):
    """Layers of different degrees in one picture: the whole model, padded to the highest, is the same scene."""
    model = layered(1, degrees)
    whole = GaussianModel.from_arrays(whole_arrays(model))
    assert len(whole) == 3 * PER_BALL and whole.max_sh_degree == max(1, *degrees)
    drawn, wanted = (render(CAMERA, m, settings=REFERENCE) for m in (model, whole))
    for name in ("color", "alpha", "depth", "features"):
        torch.testing.assert_close(getattr(drawn, name), getattr(wanted, name), atol=1e-6, rtol=1e-5)


def test_a_frozen_layer_keeps_its_degree_while_the_active_one_grows():
    model = layered(1, (3, 0))
    model.active_sh_degree = 0
    gaussians = model.at(0.0)
    assert model.drawn_sh_degree == 3 and gaussians.sh_rest.shape[1] == 15
    assert not gaussians.sh_rest[:PER_BALL].any()  # of the active one nothing yet
    torch.testing.assert_close(gaussians.sh_rest[PER_BALL : 2 * PER_BALL], model.layers.layers[0].tensors["f_rest"])
    model.oneup_sh_degree()
    torch.testing.assert_close(model.at(0.0).sh_rest[:PER_BALL, :3], model.params["f_rest"])
    assert not model.at(0.0).sh_rest[:PER_BALL, 3:].any()


def test_depth_decides_who_is_in_front():
    """A frozen layer may hide the active one, and the other way round."""
    eye = -CAMERA.world_to_camera[:3, :3].T @ CAMERA.world_to_camera[:3, 3]
    brightest = {}
    for front in (0, 1):
        models = (ball(0), ball(0))  # the active one white, the layer black
        with torch.no_grad():
            for index, model in enumerate(models):
                model.params["xyz"][:] = eye * (0.5 if index == front else 0.1)
                model.params["f_dc"][:] = (3.0, -3.0)[index]
                model.params["opacity"][:] = 9.0
        model = models[0].with_layers(FrozenLayers((frozen("layer", models[1]),)))
        brightest[front] = render(CAMERA, model, settings=REFERENCE).color.max().item()
    assert brightest[1] < 0.05 and brightest[0] > 1.0


def test_gradients_reach_the_active_rows_only():
    model = layered(1, (3, 0))
    stored = [value.clone() for layer in model.layers for value in layer.tensors.values()]
    output = render(CAMERA, model, settings=REFERENCE)
    (output.color.square().sum() + output.alpha.sum()).backward()
    assert all(parameter.grad is not None for name, parameter in model.params.items() if name != "semantic_feature")
    assert all(
        parameter.grad.shape == parameter.shape for parameter in model.params.values() if parameter.grad is not None
    )
    assert not any(value.requires_grad for layer in model.layers for value in layer.tensors.values())
    now = [value for layer in model.layers for value in layer.tensors.values()]
    assert all(torch.equal(a, b) for a, b in zip(stored, now, strict=True))


def test_first_rows_cut_radii_and_screen_gradients():
    model = layered()
    output = render(CAMERA, model, settings=REFERENCE)
    output.color.sum().backward()
    cut = first_rows(output, len(model))
    assert cut.radii.shape == (PER_BALL,) and cut.means2d.shape == (PER_BALL, 2)
    torch.testing.assert_close(cut.screen_probe.grad, output.screen_probe.grad[:PER_BALL])
    assert cut.color is output.color and first_rows(output, 3 * PER_BALL) is output


def test_features_of_layers_are_their_own_or_zero():
    model = layered()
    own = model.layers.layers[0].tensors["semantic_feature"]
    torch.testing.assert_close(model.layers.behind_rows(model.features)[PER_BALL : 2 * PER_BALL], own)
    narrow = model.with_features(torch.ones(PER_BALL, 2))
    assert narrow.layers.feature_dim == 2 and not narrow.layers.drawn.features.any()
    assert narrow.at(0.0).features.shape == (3 * PER_BALL, 2)
    assert model.with_features(None).at(0.0).features is None
    assert "semantic_feature" not in model.layers.without_features().layers[0].tensors


def test_state_and_device_and_new_models_keep_the_layers():
    model = layered()
    model.active_sh_degree = 0
    copies = (GaussianModel.from_state_dict(model.state_dict()), model.to("cpu"), model.with_motion(model.motion))
    for copy in copies:
        assert [str(layer) for layer in copy.layers] == [str(layer) for layer in model.layers]
        assert copy.active_sh_degree == 0
        for name in ("means", "sh_rest", "features"):
            assert torch.equal(getattr(copy.at(0.0), name), getattr(model.at(0.0), name))


def test_lists_are_newest_first_and_must_be_whole():
    layers = layers_of_lists(lists_of(ball(0), ball(1)), ("a", "b"))
    assert [layer.name for layer in layers] == ["b", "a"]
    assert torch.equal(layers.layers[0].tensors["xyz"], ball(1).means)
    for wrong in (lists_of(ball(0))[:5], ([torch.zeros(1)], [], [], [], [], []), ([1],) * 6):
        with pytest.raises(ValueError, match="six|6"):
            layers_of_lists(wrong)


def test_a_layer_of_a_wrong_shape_is_refused():
    tensors = dict(frozen("x", ball(1)).tensors) | {"scaling": torch.zeros(PER_BALL, 2)}
    with pytest.raises(ValueError, match="scaling"):
        ball(0).with_layers(FrozenLayers((FrozenLayer("x", tensors),)))


def test_padding_adds_zeros_only():
    rest = torch.rand(2, 3, 3)
    padded = padded_rest(rest, 2)
    assert padded.shape == (2, 8, 3) and torch.equal(padded[:, :3], rest) and not padded[:, 3:].any()
    assert padded_rest(rest, 0) is rest
