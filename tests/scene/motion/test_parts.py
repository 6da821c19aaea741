"""scene/motion/parts.py"""

from __future__ import annotations

import torch
from torch import Tensor

from scene.motion.bonds import Bonds
from scene.motion.parts import Parts, _Shared, connected, levels_of
from utils.transforms import quaternion_multiply, quaternion_to_matrix


def cloud(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))


def unit_quats(count: int) -> Tensor:
    return torch.nn.functional.normalize(cloud(count * 4, 3)[:, :1].reshape(count, 4) - 0.5, dim=1)


def moving_parts(member: Tensor, means: Tensor) -> Parts:
    parts = Parts(member)
    parts.restart(means)
    with torch.no_grad():
        parts.turns.copy_(cloud(len(parts.turns), 1) - 0.5)
        parts.shifts.copy_(cloud(len(parts.turns), 2) - 0.5)
    return parts


def test_every_part_turns_about_its_own_centre_and_shifts():
    member, means, quats = torch.tensor([0, 1, 0, 1, 2, 1]), cloud(6), unit_quats(6)
    parts = moving_parts(member, means)
    moved, turned = parts.moved(means, quats)
    for row in range(6):
        part = int(member[row])
        center = means[member == part].mean(0)
        half = torch.cat([torch.ones(1), 0.5 * parts.turns[part].detach()])
        turn = half / half.norm()
        expected = quaternion_to_matrix(turn[None])[0] @ (means[row] - center) + center + parts.shifts[part].detach()
        assert torch.allclose(moved[row], expected, atol=1e-6)
        assert torch.allclose(turned[row], quaternion_multiply(turn, quats[row]), atol=1e-6)


def test_a_small_turn_is_by_axis_times_angle():
    parts, means = Parts(torch.zeros(2, dtype=torch.long)), torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    parts.restart(means)
    with torch.no_grad():
        parts.turns[0, 2] = 0.01
        moved = parts.moved(means, torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(2, 1))[0]
    assert torch.allclose(moved[0], torch.tensor([0.99995, 0.01, 0.0]), atol=1e-6)


def test_restart_forgets_the_motion_and_finds_the_centres():
    member, means = torch.tensor([0, 0, 1]), cloud(3)
    parts = moving_parts(member, means)
    parts.restart(means + 1)
    assert torch.equal(parts.moved(means, unit_quats(3))[0], means) or not parts.shifts.any()
    assert not parts.turns.any() and not parts.shifts.any()
    assert torch.allclose(parts.centers, torch.stack([means[:2].mean(0), means[2]]) + 1)


def test_one_more_part_leaves_the_motion_of_the_others():
    member, means, quats = torch.tensor([1, 0, 1]), cloud(3), unit_quats(3)
    parts, newborn = moving_parts(member, means), 5 + cloud(4, 7)
    longer = parts.followed_by(newborn)
    moved, turned = longer.moved(torch.cat([means, newborn]), torch.cat([quats, unit_quats(4)]))
    before = parts.moved(means, quats)
    assert torch.equal(moved[:3], before[0]) and torch.equal(turned[:3], before[1])
    assert torch.allclose(moved[3:], newborn, atol=1e-6) and longer.member.tolist() == [1, 0, 1, 2, 2, 2, 2]
    assert torch.allclose(longer.centers[2], newborn.mean(0)) and longer.size[:, 0].tolist() == [1, 2, 4]


def test_things_are_what_chains_of_bonds_hold_together():
    apart = torch.tensor([10.0, 0.0, 0.0])
    means = torch.cat([cloud(30), cloud(20, 1) + apart, cloud(10, 2) - apart])
    things = connected(Bonds.between(means, 5))
    assert [len(things[a:b].unique()) for a, b in ((0, 30), (30, 50), (50, 60))] == [1, 1, 1]
    assert len(things.unique()) == 3


def test_levels_are_from_small_to_whole():
    means = torch.cat([cloud(900), cloud(100, 1) + 10])
    small, whole = levels_of(means, Bonds.between(means, 8))
    assert small.size.sum() == whole.size.sum() == 1000
    assert sorted(whole.size[:, 0].tolist()) == [100, 900] and len(small.size) == 2


def turned_by(found: Tensor, before: Tensor) -> float:
    """Mean angle in the plane, rad, by which points [N, 3] have turned about the z axis."""
    angles = torch.atan2(found[:, 1], found[:, 0]) - torch.atan2(before[:, 1], before[:, 0])
    return float(torch.atan2(angles.sin(), angles.cos()).mean())


def descend(steps: int, has_parts: bool) -> float:
    """The angle that is found for a ball that has turned by half a radian, of which every point sees little."""
    means = cloud(200) - 0.5
    matrix = quaternion_to_matrix(torch.tensor([[0.5, 0.0, 0.0, 0.25]]) / 0.3125**0.5)[0]
    target = means @ matrix.T
    quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(200, 1)
    own, parts = torch.nn.Parameter(means.clone()), Parts(torch.zeros(200, dtype=torch.long))
    parts.restart(means)
    groups = [
        {"params": [own], "lr": 0.0005},
        {"params": [parts.turns, parts.shifts], "lr": 0.02 if has_parts else 0.0},
    ]
    optimizer = torch.optim.Adam(groups)
    for _ in range(steps):
        optimizer.zero_grad()
        (parts.moved(own, quats)[0] - target).square().sum().backward()
        optimizer.step()
    return turned_by(parts.moved(own, quats)[0].detach(), means) / turned_by(target, means)


def test_a_fast_turn_is_found_with_parts_and_not_without():
    assert abs(descend(60, True) - 1) < 0.05
    assert descend(60, False) < 0.5


def test_gradients_of_parts_are_sums_over_their_members():
    member = torch.randint(0, 5, (700,), generator=torch.Generator().manual_seed(4))
    member[:5] = torch.arange(5)
    table = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    parts, weights = Parts(member), torch.randn(700, 3, dtype=torch.double)
    shared = _Shared.apply(table, member, parts._members)
    (found,) = torch.autograd.grad(shared, table, weights)
    (expected,) = torch.autograd.grad(table[member], table, weights)
    assert torch.equal(shared, table[member]) and torch.allclose(found, expected)
