"""Formats that another program reads and writes for us; the same model in several of them is the same model."""

from __future__ import annotations

import numpy as np
import pytest

from scene.formats import read_splats, write_splats
from tests.foreign.browser import need_packages
from tests.helpers import data_path
from tests.scene.formats.arrays import cloud, differences
from utils.errors import UserError
from utils.node_tools import FOLDER_VARIABLE

PACKAGE = "@playcanvas/splat-transform"
STEPS = {".sog": (2e-3, 0.02), ".spz": (3e-4, 0.035)}  # position, log scale


def test_without_the_program_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.spz").write_bytes(b"x")
    with pytest.raises(UserError, match="run: npm install -g @playcanvas/splat-transform") as caught:
        read_splats(tmp_path / "a.spz")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="needs the program splat-transform"):
        write_splats(tmp_path / "b.html", cloud(3))
    assert not (tmp_path / "b.html").exists()


def test_directions_that_do_not_exist(tmp_path):
    (tmp_path / "a.html").write_text("<html>")
    with pytest.raises(UserError, match="can only be written"):
        read_splats(tmp_path / "a.html")
    with pytest.raises(UserError, match="can only be read"):
        write_splats(tmp_path / "a.ksplat", cloud(3))
    with pytest.raises(UserError, match="no such file"):
        read_splats(tmp_path / "none.spz")


@pytest.mark.parametrize("ending", [".sog", ".spz"])
def test_there_and_back(tmp_path, ending):
    need_packages(PACKAGE)
    arrays = cloud(count=300, degree=2)
    arrays.f_rest[:] *= 0.5  # .spz ends at 1
    write_splats(tmp_path / f"a{ending}", arrays)
    found, (position, size) = differences(read_splats(tmp_path / f"a{ending}"), arrays), STEPS[ending]
    assert found.xyz < position and found.scaling < size and found.opacity < 5e-3 and found.rotation < 2e-4
    if ending == ".spz":  # .sog has but 256 values for all colours, few of which random ones hit
        assert found.color < 0.01 and found.rest < 0.07
    assert [path.name for path in tmp_path.iterdir()] == [f"a{ending}"]


@pytest.mark.parametrize("ending", [".html", ".glb"])
def test_what_is_only_written(tmp_path, ending):
    need_packages(PACKAGE)
    write_splats(tmp_path / f"a{ending}", cloud(count=50))
    start = (tmp_path / f"a{ending}").read_bytes()[:200].lower()
    assert start.startswith(b"gltf") if ending == ".glb" else b"<html" in start


@pytest.mark.parametrize("name", ["chair_radegs.spz", "chair_radegs_v3.spz", "chair_radegs.sog"])
def test_one_model_in_several_formats(name):
    need_packages(PACKAGE)
    folder = data_path("splat_formats")
    found, plain = read_splats(folder / name), read_splats(folder / "chair_radegs.ply")
    assert len(found) == len(plain) and found.f_rest.shape == plain.f_rest.shape
    np.testing.assert_allclose(np.sort(found.xyz, axis=0), np.sort(plain.xyz, axis=0), atol=1e-3)
    sizes = [np.sort(arrays.scaling, axis=0)[100:] for arrays in (found, plain)]  # .spz ends at -10
    np.testing.assert_allclose(*sizes, atol=0.05)
    np.testing.assert_allclose(found.f_dc.mean((0, 1)), plain.f_dc.mean((0, 1)), atol=2e-3)


def test_a_damaged_file_is_one_line(tmp_path):
    need_packages(PACKAGE)
    (tmp_path / "a.spz").write_bytes(np.random.default_rng(0).bytes(64))
    with pytest.raises(UserError, match="a.spz: splat-transform failed") as caught:
        read_splats(tmp_path / "a.spz")
    assert "\n" not in str(caught.value)
