"""Rigid motions about an axis, from six numbers per point."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-10  # squared rad below which there is no axis


def screw_motion(points: Tensor, axis: Tensor, shift: Tensor) -> Tensor:
    """Points [N, 3] moved by the exponential of the twists (axis, shift), each [N, 3] (Lynch and Park 2017, ch. 3).

    The angle is the axis's length, in rad; without rotation what is left is the shift.
    """
    angle = (axis.square().sum(-1, keepdim=True) + TINY).sqrt()
    unit, pitch = axis / angle, shift / angle
    sine, versine = angle.sin(), 1 - angle.cos()
    across = torch.linalg.cross(unit, points)
    turned = points + sine * across + versine * torch.linalg.cross(unit, across)
    beside = torch.linalg.cross(unit, pitch)
    return turned + angle * pitch + versine * beside + (angle - sine) * torch.linalg.cross(unit, beside)
