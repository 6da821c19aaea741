"""scene/motion/deformation_network.py: the published network."""

from __future__ import annotations

import pytest
import torch
from ndraster.deform_mlp import frequency_code

from scene.motion.deformation_network import DeformationNetwork, network_of
from utils.errors import UserError

PUBLISHED = [f"linear.{layer}.{part}" for layer in range(8) for part in ("weight", "bias")]
HEADS = ["gaussian_rotation.weight", "gaussian_rotation.bias", "gaussian_scaling.weight", "gaussian_scaling.bias"]


def published_state(is_blender: bool, is_6dof: bool) -> dict[str, torch.Tensor]:
    """Random tensors with the names and shapes that Deformable 3DGS and DGD save."""
    width = 93 if is_blender else 84
    inputs = [width, 256, 256, 256, 256, 256 + width, 256, 256]
    shapes = {f"linear.{i}": (256, wide) for i, wide in enumerate(inputs)}
    if is_blender:
        shapes |= {"timenet.0": (256, 13), "timenet.2": (30, 256)}
    moves = {"branch_w": (3, 256), "branch_v": (3, 256)} if is_6dof else {"gaussian_warp": (3, 256)}
    shapes |= moves | {"gaussian_rotation": (4, 256), "gaussian_scaling": (3, 256)}
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.randn(shape) / 16, torch.randn(shape[0]) / 16
    return state


@pytest.mark.parametrize(("is_blender", "count"), [(False, 506_378), (True, 522_280)])
def test_parameter_counts_are_the_published_ones(is_blender, count):
    assert sum(p.numel() for p in DeformationNetwork(is_blender).parameters()) == count


def test_code_widths():
    assert frequency_code(torch.zeros(2, 3), 10).shape == (2, 63)
    assert frequency_code(torch.zeros(2, 1), 6).shape == (2, 13)
    assert frequency_code(torch.zeros(2, 1), 10).shape == (2, 21)


def test_code_order_is_sine_then_cosine_of_all_values_per_frequency():
    code = frequency_code(torch.tensor([[0.1, 0.2]]), 2)[0]
    expected = [0.1, 0.2, *torch.tensor([0.1, 0.2]).sin(), *torch.tensor([0.1, 0.2]).cos()]
    expected += [*torch.tensor([0.2, 0.4]).sin(), *torch.tensor([0.2, 0.4]).cos()]
    torch.testing.assert_close(code, torch.tensor(expected))


@pytest.mark.parametrize("is_blender", [False, True])
@pytest.mark.parametrize("is_6dof", [False, True])
def test_published_states_load_and_come_back(is_blender, is_6dof):
    state = published_state(is_blender, is_6dof)
    network = network_of(state, "deform.pth")
    assert (network.is_blender, network.is_6dof) == (is_blender, is_6dof)
    saved = network.state_dict()
    assert set(saved) == set(state) and all(torch.equal(saved[name], state[name]) for name in state)


@pytest.mark.parametrize("is_blender", [False, True])
def test_time_as_a_bias_is_the_network_as_it_is_written(is_blender):
    network = network_of(published_state(is_blender, False), "deform.pth").double()
    points, time = torch.randn(7, 3, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    quick, plain = network(points, time), network.plainly(points, time)
    for name in ("shift", "rotation", "scaling"):
        torch.testing.assert_close(getattr(quick, name), getattr(plain, name))
    quick.shift.square().sum().backward()
    got = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    network.plainly(points, time).shift.square().sum().backward()
    for name, parameter in network.named_parameters():
        if name in got:
            torch.testing.assert_close(got[name], parameter.grad)


def test_rest_at_first_moves_nothing():
    offsets = DeformationNetwork().rest_at_first()(torch.randn(5, 3), torch.tensor(0.7))
    assert not any(part.any() for part in (offsets.shift, offsets.rotation, offsets.scaling))


@pytest.mark.parametrize("change", ["missing", "shape", "unknown"])
def test_another_file_is_refused_in_one_line(change):
    state = published_state(False, False)
    if change == "missing":
        del state["linear.3.bias"]
    elif change == "shape":
        state["gaussian_warp.weight"] = torch.zeros(5, 256)
    else:
        state["other"] = torch.zeros(1)
    with pytest.raises(UserError, match="deformation network") as error:
        network_of(state, "deform.pth")
    assert "\n" not in str(error.value)


def test_what_is_no_number_moves_nothing_and_spoils_nothing():
    network = network_of(published_state(False, False), "deform.pth")
    lost = torch.tensor([[0.1, 0.2, 0.3], [float("inf"), 0.0, 0.0]])
    offsets = network(lost, torch.tensor(0.5)).without_overflow()
    assert bool(offsets.shift[0].any()) and not bool(offsets.shift[1].any())
