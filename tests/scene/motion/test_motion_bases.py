"""scene/motion/motion_bases.py: blended rigid motions."""

from __future__ import annotations

import torch

from arguments import MotionParams
from scene.gaussian_model import CODE_NAME, GaussianModel
from scene.initialization import InitOptions, from_random
from scene.motion import MotionSetup, make_motion
from scene.motion.motion_bases import farthest_points
from utils.transforms import quaternion_to_matrix

PARAMS = MotionParams(motion="motion_bases", num_bases=5, warm_up=10, stop_MLP=20)


def moving_model(center=(0.0, 0.0, 0.0), radius: float = 1.0) -> GaussianModel:
    """Forty Gaussians that follow five bases with a random network."""
    torch.manual_seed(0)
    model = from_random(InitOptions(count=40), ((-1.0,) * 3, (1.0,) * 3), "cpu")
    model = model.with_motion(make_motion("motion_bases", MotionSetup(PARAMS, center, radius)))
    model.motion.on_iteration(10, model)
    torch.nn.init.normal_(model.motion.network.head.weight, std=0.3)
    return model


def test_at_first_nothing_moves():
    model = from_random(InitOptions(count=40), ((-1.0,) * 3, (1.0,) * 3), "cpu")
    model = model.with_motion(make_motion("motion_bases", MotionSetup(PARAMS)))
    model.motion.on_iteration(10, model)
    torch.testing.assert_close(model.at(0.4).means, model.means, rtol=0, atol=1e-5)
    torch.testing.assert_close(model.at(0.4).quats_wxyz, model.activated().quats_wxyz)


def test_a_gaussian_of_one_basis_moves_rigidly_with_it():
    model = moving_model()
    with torch.no_grad():
        model.params[CODE_NAME].fill_(-50)
        model.params[CODE_NAME][:, 3] = 50  # rest is the first
        quats, shifts = model.motion.network(torch.tensor(0.3))
        place, turn = model.motion.network.places[2], quaternion_to_matrix(quats[2])
        expected = (model.means - place) @ turn.T + place + shifts[2]
        moved = model.at(0.3)
    torch.testing.assert_close(moved.means, expected, rtol=1e-5, atol=1e-5)
    frames = quaternion_to_matrix(moved.quats_wxyz)
    torch.testing.assert_close(frames, turn @ quaternion_to_matrix(model.activated().quats_wxyz), rtol=1e-5, atol=1e-5)


def test_a_gaussian_of_rest_stays():
    model = moving_model()
    with torch.no_grad():
        model.params[CODE_NAME].fill_(-50)
        model.params[CODE_NAME][:, 0] = 50
        torch.testing.assert_close(model.at(0.9).means, model.means, rtol=1e-5, atol=1e-5)


def test_a_subset_moves_as_it_did_among_all():
    model = moving_model()
    mask = torch.arange(40) % 3 == 0
    torch.testing.assert_close(model.subset(mask).at(0.7).means, model.at(0.7).means[mask])


def test_all_values_get_gradients():
    model = moving_model()
    model.motion.on_iteration(15, model)
    moved = model.at(0.2)
    (moved.means.sum() + moved.quats_wxyz.square().sum()).backward()
    trained = [*model.motion.network.parameters(), model.params[CODE_NAME], model.params["xyz"]]
    assert all(bool(p.grad.any()) for p in trained)


def test_neighbours_begin_with_the_same_bases():
    model = moving_model()
    shares = model.params[CODE_NAME].detach()[:, 1:].softmax(1)
    nearest = torch.cdist(model.means.detach(), model.motion.network.places).argmin(1)
    assert torch.equal(shares.argmax(1), nearest)


def test_farthest_points_are_spread_and_repeat_if_there_are_too_few():
    line = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [0.1, 0, 0], [0.5, 0, 0]])
    assert farthest_points(line, 3)[:, 0].tolist() == [0.0, 1.0, 0.5]
    assert farthest_points(line[:1], 3).shape == (3, 3)
