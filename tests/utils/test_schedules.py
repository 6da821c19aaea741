"""utils/schedules.py"""

import pytest

from utils.schedules import exponential_rate


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 1.6e-4), (15_000, 1.6e-5), (30_000, 1.6e-6), (60_000, 1.6e-6), (-1, 0.0)]
)
def test_position_schedule(step, expected):
    assert exponential_rate(step, 1.6e-4, 1.6e-6, 30_000) == pytest.approx(expected)


def test_delay_eases_in():
    rates = [exponential_rate(s, 0.01, 0.01, 100, delay_steps=10, delay_mult=0.1) for s in (0, 5, 10, 50)]
    assert rates == pytest.approx([0.001, 0.01 * (0.1 + 0.9 * 0.5**0.5), 0.01, 0.01])


def test_two_zeros_are_zero_and_one_zero_is_refused():
    assert exponential_rate(5, 0.0, 0.0, 10) == 0.0
    with pytest.raises(ValueError, match="positive"):
        exponential_rate(5, 0.1, 0.0, 10)
