"""scene/motion/screw.py against the matrix exponential."""

from __future__ import annotations

import torch

from scene.motion.screw import screw_motion


def test_equals_the_exponential_of_the_twist():
    torch.manual_seed(0)
    points, axis, shift = torch.randn(3, 6, 3, dtype=torch.float64)
    for p, w, v in zip(points, axis, shift, strict=True):
        twist = torch.zeros(4, 4, dtype=torch.float64)
        twist[:3, :3] = torch.tensor([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
        twist[:3, 3] = v
        expected = (torch.linalg.matrix_exp(twist) @ torch.cat([p, p.new_ones(1)]))[:3]
        torch.testing.assert_close(screw_motion(p[None], w[None], v[None])[0], expected, rtol=1e-6, atol=1e-8)


def test_without_rotation_it_is_the_shift_with_finite_gradients():
    points, shift = torch.randn(2, 4, 3, dtype=torch.float64)
    axis = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    moved = screw_motion(points, axis, shift)
    torch.testing.assert_close(moved.detach(), points + shift, rtol=0, atol=1e-4)
    moved.sum().backward()
    assert torch.isfinite(axis.grad).all()
