"""Checked objects of a JSON file."""

import pytest

from scene.composition.section import Section
from utils.errors import UserError

KNOWN = ("speed", "start", "loop")


def section(**values):
    return Section(values, "clock", KNOWN)


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(UserError, match="clock: unknown key 'sped'; did you mean 'speed'"):
        section(sped=1)


@pytest.mark.parametrize("value", [None, 3, "x", [1]])
def test_only_an_object_is_an_object(value):
    with pytest.raises(UserError, match="clock is .*; expected an object"):
        Section(value, "clock", KNOWN)


@pytest.mark.parametrize("value", ["1", True, float("nan"), float("inf"), [1], None, 3.0])
def test_a_number_is_finite_and_inside(value):
    with pytest.raises(UserError, match="clock: speed is .*expected a number in 0..2"):
        section(speed=value).number("speed", 1.0, 0.0, 2.0)


def test_defaults_and_values():
    assert section().number("speed", 1.5) == 1.5 and section(speed=2).number("speed", 1.5) == 2.0
    with pytest.raises(UserError, match="speed is missing"):
        section().number("speed", None)
    assert section(start=[1, 2, 3]).vector("start", (0, 0, 0)) == (1.0, 2.0, 3.0)
    for wrong in ([1, 2], [1, 2, "3"], 5, [1, 2, True]):
        with pytest.raises(UserError, match="expected 3 numbers"):
            section(start=wrong).vector("start", (0, 0, 0))


def test_two_names_of_one_thing_are_refused():
    with pytest.raises(UserError, match="has speed and loop; expected one of them"):
        section(speed=1, loop=True).only_one_of("speed", "loop")


@pytest.mark.parametrize(("method", "value"), [("text", 3), ("text", ""), ("flag", 1), ("entries", {})])
def test_kinds_of_values_are_checked(method, value):
    with pytest.raises(UserError, match="clock: loop is"):
        getattr(section(loop=value), method)("loop")
