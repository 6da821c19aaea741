"""scene/motion/pose_codes.py: steps in whole numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from scene.motion.pose_codes import (
    BOX_STEPS,
    COLOR_STEP,
    TURN_STEP,
    Pose,
    pack,
    quaternions,
    rotation_vectors,
    spacing_of,
    step_between,
    stepped,
    unpack,
)
from utils.transforms import quaternion_to_matrix


def random_pose(count: int, seed: int) -> Pose:
    make = torch.Generator().manual_seed(seed)
    return Pose(*(torch.randn(count, width, generator=make) for width in (3, 4, 3)))


def angles(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Degrees [M] between rotations, by their matrices."""
    between = quaternion_to_matrix(one.double()) @ quaternion_to_matrix(other.double()).transpose(1, 2)
    cosine = (between.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    return torch.rad2deg(cosine.clamp(-1, 1).acos())


@pytest.mark.parametrize("largest", [0, 1, 127, 128, 40_000, 2**23, 2**31 - 1])
def test_packing_is_exact(largest):
    random = np.random.default_rng(0)
    numbers = torch.from_numpy(random.integers(-largest - 1, largest, (7, 3), np.int32, endpoint=True))
    numbers[0] = torch.tensor([-largest - 1, largest, 0], dtype=torch.int32)
    planes = pack(numbers)
    assert planes.shape == (max(1, math.ceil((int(largest).bit_length() + 1) / 8)), 3, 7)
    assert torch.equal(unpack(planes), numbers)


def test_nothing_packs():
    empty = torch.zeros(0, 3, dtype=torch.int32)
    assert unpack(pack(empty)).shape == (0, 3)


def test_rotation_vectors_are_those_of_scipy():
    quats = torch.nn.functional.normalize(random_pose(50, 0).quats_wxyz.double(), dim=1)
    quats[0], quats[1], quats[2] = torch.eye(4, dtype=torch.float64)[[0, 1, 3]]
    expected = Rotation.from_quat(quats.numpy()[:, [1, 2, 3, 0]]).as_rotvec()
    np.testing.assert_allclose(rotation_vectors(quats).numpy()[3:], expected[3:], atol=1e-12)
    np.testing.assert_allclose(rotation_vectors(quats).norm(dim=1).numpy()[:3], [0, math.pi, math.pi], atol=1e-12)
    assert angles(quaternions(rotation_vectors(quats)), quats).max() < 1e-5


def test_a_step_is_taken_as_exactly_as_promised():
    before, after, spacing = random_pose(300, 1), random_pose(300, 2), 0.01
    found = stepped(before, step_between(before, after, spacing), spacing)
    assert (found.means - after.means).abs().max() <= spacing / 2 * 1.001
    assert (found.colors - after.colors).abs().max() <= COLOR_STEP / 2 * 1.001
    assert angles(found.quats_wxyz, after.quats_wxyz).max() <= math.degrees(TURN_STEP * math.sqrt(3) / 2) * 1.01
    assert (found.quats_wxyz.norm(dim=1) - 1).abs().max() < 1e-6


def test_rounding_does_not_add_up():
    """A drift of a third of a spacing per moment is followed."""
    spacing = 0.01
    found = meant = random_pose(20, 3)
    for _ in range(100):
        meant = Pose(meant.means + spacing / 3, meant.quats_wxyz, meant.colors)
        found = stepped(found, step_between(found, meant, spacing), spacing)
    assert (found.means - meant.means).abs().max() <= spacing / 2 * 1.01


def test_signs_of_quaternions_do_not_flip():
    before = random_pose(40, 4)
    after = Pose(before.means, -before.quats_wxyz, before.colors)
    step = step_between(before, after, 1.0)
    assert not step.quats_wxyz.any()
    assert ((stepped(before, step, 1.0).quats_wxyz * before.quats_wxyz).sum(1) > 0).all()


def test_far_places_stay_within_32_bits():
    before, after = Pose(torch.zeros(1, 3), torch.ones(1, 4)), Pose(torch.full((1, 3), -1e30), torch.ones(1, 4))
    assert step_between(before, after, 1e-4).means.tolist() == [[-(2**29)] * 3]


def test_the_spacing_is_of_what_moves_without_strays():
    means = torch.rand(10_000, 3, generator=torch.Generator().manual_seed(0))
    means[5000:] *= 100
    means[0] = 1e6
    moving = torch.arange(10_000) < 5000
    assert 0.95 / BOX_STEPS < spacing_of(means, moving) < 1.0 / BOX_STEPS
    assert 90 / BOX_STEPS < spacing_of(means, torch.zeros(10_000, dtype=torch.bool)) < 100 / BOX_STEPS
    assert spacing_of(torch.ones(1, 3), torch.ones(1, dtype=torch.bool)) > 0
