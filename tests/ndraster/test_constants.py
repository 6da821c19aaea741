"""constants.py and csrc/shared/constants.h say the same."""

from __future__ import annotations

import re

import pytest
from ndraster import constants, spherical_harmonics
from ndraster.build import SOURCES

NOT_IN_CPP = {"NEAR_DEFAULT", "MAX_FEATURES"}  # reach the kernels as arguments
ONLY_IN_CPP = {"REACH_SLACK"}  # rounding of the tile lists, which the reference does not have


def header_constants(name: str) -> dict[str, float]:
    """Names and values of `constexpr float|int NAME = VALUE` in a shared header."""
    text = (SOURCES / "shared" / name).read_text()
    values = re.findall(r"(\w+) = ([-+.\de/f ]+)(?=[;,])", text)
    numbers = {key: value.replace("f", "").split("/") for key, value in values if key.isupper()}
    return {key: float(parts[0]) / float(parts[1] if len(parts) > 1 else 1) for key, parts in numbers.items()}


def test_every_constant_is_the_same():
    ours = {name: value for name, value in vars(constants).items() if name.isupper()}
    theirs = header_constants("constants.h")
    assert set(ours) - NOT_IN_CPP == set(theirs) - ONLY_IN_CPP
    for name in set(ours) - NOT_IN_CPP:
        assert theirs[name] == pytest.approx(ours[name], rel=1e-7), name


def test_spherical_harmonics_use_the_same_factors():
    theirs = sorted(header_constants("sh.h").values())
    factors = [spherical_harmonics.SH_0, spherical_harmonics.SH_1, *spherical_harmonics.SH_2, *spherical_harmonics.SH_3]
    ours = sorted({round(abs(value), 12) for value in factors})
    assert theirs == pytest.approx(ours, rel=1e-7)
