"""training/schedules.py"""

import random

import pytest
import torch

from training.schedules import Background, CameraOrder, LearningRates, exponential_rate


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


def test_rates_are_written_by_group_name():
    groups = [{"name": n, "params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1.0} for n in ("xyz", "opacity")]
    optimizer = torch.optim.SGD(groups)
    LearningRates({"xyz": lambda step: step / 10}).apply(optimizer, 3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.3, 1.0]


def test_every_camera_is_drawn_once_per_round():
    order = CameraOrder(5)
    for _ in range(3):
        assert sorted(order.draw() for _ in range(5)) == list(range(5))


def test_upcoming_is_what_comes_and_state_resumes():
    random.seed(3)
    order = CameraOrder(4)
    for _ in range(9):
        upcoming = order.upcoming
        assert order.draw() == upcoming
    state, remaining = random.getstate(), list(order.remaining)
    expected = [order.draw() for _ in range(10)]
    random.setstate(state)
    resumed = CameraOrder(4, remaining)
    assert [resumed.draw() for _ in range(10)] == expected


def test_no_camera_is_an_error():
    with pytest.raises(ValueError, match="no training cameras"):
        CameraOrder(0)


def test_backgrounds():
    device = torch.device("cpu")
    assert Background(True, False, device).draw().tolist() == [1.0, 1.0, 1.0]
    assert Background(False, False, device).draw() is None  # black
    changing = Background(False, True, device)
    assert not torch.equal(changing.draw(), changing.draw())
    assert changing.fixed is None
