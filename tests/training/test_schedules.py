"""training/schedules.py"""

import random

import pytest
import torch

from training.schedules import Background, CameraOrder, GrowingOrder, LearningRates


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


def test_a_growing_order_begins_in_the_middle_and_ends_with_all():
    random.seed(0)
    times = [index / 99 for index in range(100)]
    order = GrowingOrder(100, times=times, steps=1000)
    drawn = [order.draw() for _ in range(1500)]
    assert all(abs(times[index] - 0.5) < 0.08 for index in drawn[:32])
    assert all(abs(times[index] - 0.5) < 0.35 for index in drawn[:500])
    assert {3, 96} <= set(drawn[:1000])
    rounds = drawn[1000 + len(drawn[1000:]) % 100 :]
    assert len(set(rounds[-200:])) == 100


def test_while_it_grows_every_other_picture_is_new():
    random.seed(0)
    times = [index / 99 for index in range(100)]
    order = GrowingOrder(100, times=times, steps=4000)
    late = [abs(times[order.draw()] - 0.5) for _ in range(2000)][1600:]  # half of the time is known
    assert 0.4 < sum(distance > 0.2 for distance in late) / len(late) < 0.8
