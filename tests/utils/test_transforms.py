import math

import pytest
import torch
from torch.nn import functional as F

from utils.transforms import (
    focal_to_fov,
    fov_to_focal,
    invert_rigid,
    look_at,
    matrix_to_quaternion,
    quaternion_to_matrix,
    slerp,
)


def random_quaternions(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(count, 4, generator=generator, dtype=torch.float64), dim=-1)


def test_quaternions_give_proper_rotations_and_round_trip():
    quats = torch.cat((random_quaternions(500), torch.eye(4, dtype=torch.float64), -torch.eye(4, dtype=torch.float64)))
    matrices = quaternion_to_matrix(quats)
    identity = torch.eye(3, dtype=torch.float64).expand_as(matrices)
    torch.testing.assert_close(matrices @ matrices.mT, identity)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(len(quats), dtype=torch.float64))
    back = matrix_to_quaternion(matrices)
    torch.testing.assert_close(back.abs().max(dim=-1).values, quats.abs().max(dim=-1).values)
    torch.testing.assert_close((back * quats).sum(-1).abs(), torch.ones(len(quats), dtype=torch.float64))
    assert (back[:, 0] >= 0).all()


def test_quaternion_of_a_quarter_turn_about_z():
    half = math.sqrt(0.5)
    matrix = quaternion_to_matrix(torch.tensor([half, 0.0, 0.0, half]))
    torch.testing.assert_close(matrix @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))


def test_quaternion_gradient_is_exact():
    quats = random_quaternions(3).requires_grad_()
    assert torch.autograd.gradcheck(quaternion_to_matrix, (quats,))


def test_slerp_ends_speed_and_shorter_arc():
    q0, q1 = random_quaternions(20)[:10], random_quaternions(20)[10:]
    q1 = torch.where((q0 * q1).sum(-1, keepdim=True) < 0, -q1, q1)
    torch.testing.assert_close(slerp(q0, q1, 0.0), q0)
    torch.testing.assert_close(slerp(q0, q1, 1.0), q1)
    torch.testing.assert_close(slerp(q0, -q1, 0.3), slerp(q0, q1, 0.3))
    whole = torch.acos((q0 * q1).sum(-1))
    third = torch.acos((q0 * slerp(q0, q1, torch.full((10,), 1 / 3, dtype=torch.float64))).sum(-1))
    torch.testing.assert_close(third, whole / 3)


def test_slerp_of_equal_quaternions_is_finite():
    q = random_quaternions(1)[0]
    torch.testing.assert_close(slerp(q, q, 0.5), q)
    torch.testing.assert_close(slerp(q, -q, 0.5), q)


def test_fov_and_focal_are_inverse():
    assert focal_to_fov(50.0, 100.0) == pytest.approx(math.pi / 2)
    assert fov_to_focal(focal_to_fov(123.4, 640), 640) == pytest.approx(123.4)


def test_look_at_uses_opencv_axes():
    eye, target, up = torch.tensor([0.0, 0.0, -5.0]), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0])
    matrix = look_at(eye, target, up)
    place = lambda point: (matrix @ torch.tensor([*point, 1.0]))[:3]  # noqa: E731
    torch.testing.assert_close(place((0.0, 0.0, 0.0)), torch.tensor([0.0, 0.0, 5.0]))
    assert place((0.0, 1.0, 0.0))[1] < 0  # up in the world is up in the image: y points down
    torch.testing.assert_close(place(eye.tolist()), torch.zeros(3))
    torch.testing.assert_close(torch.linalg.det(matrix), torch.tensor(1.0))


@pytest.mark.parametrize("direction", [(0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (1e-9, 1.0, 0.0)])
def test_look_at_along_up_is_still_rigid(direction):
    eye = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    matrix = look_at(eye, eye + torch.tensor(direction, dtype=torch.float64), torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(matrix[:3, :3] @ matrix[:3, :3].T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(matrix) > 0


def test_look_at_nothing_is_an_error():
    with pytest.raises(ValueError, match="same point"):
        look_at(torch.ones(3), torch.ones(3), torch.ones(3))


def test_invert_rigid():
    matrices = torch.eye(4, dtype=torch.float64).repeat(6, 1, 1)
    matrices[:, :3, :3] = quaternion_to_matrix(random_quaternions(6))
    matrices[:, :3, 3] = torch.arange(18.0).reshape(6, 3)
    torch.testing.assert_close(invert_rigid(matrices) @ matrices, torch.eye(4, dtype=torch.float64).expand(6, 4, 4))
