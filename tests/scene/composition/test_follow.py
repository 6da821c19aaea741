"""The rigid motion of a part."""

import pytest
import torch
from torch.nn import functional as F

from scene.composition.follow import mean_turn, part_motion, rigid_fit
from utils.transforms import quaternion_multiply, quaternion_to_matrix


def random_motion(count, seed=0):
    """Unit quaternions [T, 4] and shifts [T, 3]."""
    generator = torch.Generator().manual_seed(seed)
    quats = F.normalize(torch.randn(count, 4, generator=generator, dtype=torch.float64), dim=1)
    return quats, torch.randn(count, 3, generator=generator, dtype=torch.float64)


def moved(points, quats, shifts):
    return points @ quaternion_to_matrix(quats).mT + shifts[:, None]


def cloud(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return points, torch.rand(count, generator=generator, dtype=torch.float64) + 0.1


@pytest.mark.parametrize("flat", [False, True])
def test_a_rigid_motion_is_found_exactly(flat):
    (points, weights), (quats, shifts) = cloud(7), random_motion(5)
    points[:, 2] *= not flat  # points in a plane: a reflection would fit as well
    rotations, found = rigid_fit(points, moved(points, quats, shifts), weights)
    torch.testing.assert_close(rotations, quaternion_to_matrix(quats))
    torch.testing.assert_close(found, shifts)


def test_weights_decide_whom_to_follow():
    (points, _), (quats, shifts) = cloud(8), random_motion(1)
    target = moved(points, quats, shifts)
    target[:, 6:] += 5.0  # two that go elsewhere
    weights = torch.tensor([1.0] * 6 + [0.0] * 2, dtype=torch.float64)
    torch.testing.assert_close(rigid_fit(points, target, weights)[1], shifts)
    assert (rigid_fit(points, target, torch.ones_like(weights))[1] - shifts).norm() > 0.1


def test_the_fit_is_a_minimum():
    (points, weights), (quats, shifts) = cloud(9), random_motion(1)
    noise = 0.3 * torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    target = moved(points, quats, shifts) + noise

    def cost(rotation, shift):
        return float((weights * (points @ rotation.mT + shift - target[0]).square().sum(1)).sum())

    (rotation,), (shift,) = rigid_fit(points, target, weights)
    for index in range(20):
        small, way = random_motion(1, seed=index)
        turn = F.normalize(torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64) + 0.01 * small, dim=1)
        assert cost(quaternion_to_matrix(turn)[0] @ rotation, shift + 0.01 * way[0]) > cost(rotation, shift)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_gaussian_or_a_line_turns_as_its_orientation(count):
    (points, weights), (quats, shifts) = cloud(count), random_motion(4)
    points[:, 1:] = 0  # on a line
    own, _ = random_motion(count, seed=7)
    turned = quaternion_multiply(quats[:, None], own)
    turned[1] *= -1  # the same rotation
    part = part_motion((points, own), moved(points, quats, shifts), turned, weights)
    torch.testing.assert_close(part.points(points[None]), moved(points, quats, shifts))
    torch.testing.assert_close(quaternion_to_matrix(part.quats_wxyz), quaternion_to_matrix(quats))


def test_mean_turns_do_not_care_for_signs():
    quats, _ = random_motion(3)
    own = torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64).expand(3, 4)
    turns = quats[None].clone()
    flipped = turns * torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(
        mean_turn(own, turns, torch.ones(3).double()), mean_turn(own, flipped, torch.ones(3).double())
    )
