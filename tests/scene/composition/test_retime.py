"""Clocks of layers."""

import pytest

from scene.composition.retime import Clock


@pytest.mark.parametrize(
    ("clock", "time", "moment"),
    [
        (Clock(), 0.3, 0.3),
        (Clock(start=0.5), 0.7, 1.0),
        (Clock(speed=-1.0, start=0.4), 0.9, 0.0),
        (Clock(speed=2.0, ending="loop"), 0.75, 0.5),
        (Clock(speed=2.0, ending="loop"), 0.5, 1.0),
        (Clock(speed=-1.0, ending="loop"), 0.25, 0.75),
        (Clock(speed=2.0, ending="pingpong"), 0.75, 0.5),
        (Clock(speed=2.0, ending="pingpong"), 1.0, 0.0),
        (Clock(speed=3.0, ending="pingpong"), 1.0, 1.0),
        (Clock(reverse=True), 0.2, 0.8),
        (Clock(speed=0.0, start=0.6), 0.9, 0.6),
    ],
)
def test_moments(clock, time, moment):
    assert clock.at(time) == pytest.approx(moment)


@pytest.mark.parametrize("ending", ["hold", "loop", "pingpong"])
def test_a_clock_stays_in_the_clip_and_leaves_it_alone(ending):
    clock = Clock(start=-1.7, speed=4.3, ending=ending)
    assert all(0 <= clock.at(index / 50) <= 1 for index in range(51))
    assert all(Clock(ending=ending).at(index / 10) == pytest.approx(index / 10) for index in range(11))
