"""The constant term of spherical harmonics colours, and how many terms there are."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")

SH_C0 = 0.28209479177387814  # 1 / (2 sqrt(pi)), the value of Y_00


def rgb_to_sh(rgb: Value) -> Value:
    """Colours in 0..1 (tensor, array or float) to the degree-0 coefficient; inverse of `sh_to_rgb`."""
    return (rgb - 0.5) / SH_C0


def sh_to_rgb(f_dc: Value) -> Value:
    """Degree-0 coefficient to the colour that it shows, not clamped."""
    return f_dc * SH_C0 + 0.5


def num_sh_coefficients(degree: int) -> int:
    """Number of coefficients per channel up to and with `degree`: (degree + 1)^2."""
    return (degree + 1) ** 2
