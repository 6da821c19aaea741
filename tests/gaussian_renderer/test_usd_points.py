"""gaussian_renderer/usd_points.py: what is written is read back by a small parser, and by OpenUSD where it is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from gaussian_renderer.usd_points import write_usd_points

POINTS = np.random.default_rng(3).normal(size=(4, 5, 3)).astype(np.float32) * np.float32([1, 1e-6, 1e6])
COLORS = np.linspace(0, 1, 15).reshape(5, 3).astype(np.float32)


def value_of(text: str, name: str) -> str:
    """What stands behind `name =`, up to the end of the line."""
    return re.search(rf"{re.escape(name)} = (.*?)(?: \(|)$", text, re.MULTILINE)[1]


@pytest.fixture
def path(tmp_path) -> Path:
    write_usd_points(tmp_path / "tracks.usda", POINTS, COLORS, fps=25, metres_per_unit=0.5)
    return tmp_path / "tracks.usda"


def test_time_codes_are_moments_and_positions_are_exact(path):
    text = path.read_text()
    samples = re.search(r"points\.timeSamples = \{\n(.*?)\n    \}", text, re.DOTALL)[1]
    found = ast.literal_eval("{" + samples + "}")
    assert list(found) == [0, 1, 2, 3]
    np.testing.assert_array_equal(np.array(list(found.values()), np.float32), POINTS)
    assert (value_of(text, "startTimeCode"), value_of(text, "endTimeCode")) == ("0", "3")
    assert (value_of(text, "timeCodesPerSecond"), value_of(text, "metersPerUnit")) == ("25", "0.5")


def test_each_point_keeps_its_colour_and_id(path):
    text = path.read_text()
    assert text.startswith("#usda 1.0\n") and text.count("{") == text.count("}") and text.count("(") == text.count(")")
    np.testing.assert_array_equal(np.float32(ast.literal_eval(value_of(text, "primvars:displayColor"))), COLORS)
    assert ast.literal_eval(value_of(text, "ids")) == [0, 1, 2, 3, 4]
    low, high = ast.literal_eval(value_of(text, "extent"))
    np.testing.assert_array_equal(np.float32([low, high]), [POINTS.min((0, 1)), POINTS.max((0, 1))])


def test_no_points_are_a_file_too(tmp_path):
    write_usd_points(tmp_path / "none.usda", np.zeros((2, 0, 3), np.float32), np.zeros((0, 3), np.float32), 30)
    assert "0: []," in (tmp_path / "none.usda").read_text()


def test_openusd_reads_the_same(path):
    usd = pytest.importorskip("pxr.Usd", reason="pip install usd-core")
    stage = usd.Stage.Open(str(path))
    prim = stage.GetDefaultPrim()
    assert prim.GetTypeName() == "Points" and stage.GetTimeCodesPerSecond() == 25
    attribute = prim.GetAttribute("points")
    assert attribute.GetTimeSamples() == [0, 1, 2, 3]
    for moment in range(4):
        np.testing.assert_array_equal(np.array(attribute.Get(moment)), POINTS[moment])
