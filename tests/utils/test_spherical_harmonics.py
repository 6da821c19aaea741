import math

import pytest
import torch

from utils.spherical_harmonics import SH_C0, num_sh_coefficients, rgb_to_sh, sh_to_rgb


def test_constant_term_is_a_normalised_function():
    assert 4 * math.pi * SH_C0**2 == pytest.approx(1.0)


def test_colour_round_trip():
    rgb = torch.rand(10, 3, dtype=torch.float64)
    torch.testing.assert_close(sh_to_rgb(rgb_to_sh(rgb)), rgb)
    assert rgb_to_sh(0.5) == 0.0


def test_number_of_coefficients():
    assert [num_sh_coefficients(degree) for degree in range(4)] == [1, 4, 9, 16]
