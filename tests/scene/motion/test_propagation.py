"""scene/motion/propagation.py: constant velocities are predicted exactly."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from scene.motion.propagation import propagate
from utils.transforms import quaternion_multiply


def turned(angle_rad: float) -> torch.Tensor:
    """A turn about an oblique axis, after another one."""
    axis = normalize(torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64), dim=0)
    turn = torch.cat([torch.tensor([math.cos(angle_rad / 2)]), math.sin(angle_rad / 2) * axis])
    start = normalize(torch.tensor([0.3, -0.2, 0.8, 0.1], dtype=torch.float64), dim=0)
    return quaternion_multiply(turn, start)[None]


def at(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    means = torch.tensor([[0.5, 1.0, -2.0]], dtype=torch.float64) + step * torch.tensor([[0.1, -0.2, 0.3]])
    return means, turned(0.3 * step)


@pytest.mark.parametrize("mode", ["velocity", "velocity_so3"])
def test_a_constant_translation_is_predicted_exactly(mode):
    means, quats = propagate((at(0)[0], turned(0.0)), (at(1)[0], turned(0.0)), mode)
    assert torch.allclose(means, at(2)[0], atol=1e-6)
    assert torch.allclose(quats, turned(0.0), atol=1e-6)


def test_a_constant_turn_is_predicted_exactly_on_the_sphere_and_nearly_along_the_line():
    exact = propagate(at(0), at(1), "velocity_so3")[1]
    assert torch.allclose(exact, at(2)[1], atol=1e-6)
    line = propagate(at(0), at(1), "velocity")[1]
    assert 1e-4 < float((line - at(2)[1]).norm()) < 0.02


def test_the_damped_guess_lies_between_staying_and_going_on():
    means, quats = propagate(at(0), at(1), "damped", 0.5)
    assert torch.allclose(means, (at(1)[0] + at(2)[0]) / 2, atol=1e-6)
    assert torch.allclose(quats, turned(0.45), atol=1e-6)
    assert torch.equal(propagate(at(0), at(1), "none")[1], at(1)[1])
