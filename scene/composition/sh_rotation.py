"""Spherical-harmonics colours of turned Gaussians."""

from __future__ import annotations

from math import isqrt

import torch
from ndraster.spherical_harmonics import sh_basis
from torch import Tensor

NUM_DIRECTIONS = 64
GOLDEN_ANGLE_RAD = 2.399963229728653


def rotated_sh(sh: Tensor, rotation: Tensor) -> Tensor:
    """Coefficients [N, K, 3] of Gaussians that were turned by a rotation matrix [3, 3].

    What was seen in the direction d is then seen in R d: basis(d) . new = basis(R^T d) . old. Bands do not mix, so the
    matrix from old to new is found exactly from a few directions.
    """
    degree = isqrt(sh.shape[1]) - 1
    directions, rotation = _directions(), rotation.double().cpu()
    seen, before = sh_basis(directions, degree), sh_basis(directions @ rotation, degree)
    matrix = torch.linalg.lstsq(seen, before).solution
    return matrix.to(sh) @ sh


def _directions() -> Tensor:
    """Unit vectors [NUM_DIRECTIONS, 3] float64, evenly on the sphere (a Fibonacci lattice)."""
    index = torch.arange(NUM_DIRECTIONS, dtype=torch.float64) + 0.5
    z, azimuth = 1 - 2 * index / NUM_DIRECTIONS, GOLDEN_ANGLE_RAD * index
    radius = (1 - z * z).sqrt()
    return torch.stack([radius * azimuth.cos(), radius * azimuth.sin(), z], dim=1)
