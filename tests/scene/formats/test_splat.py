"""`.splat`: 32 bytes for each Gaussian, as the first web viewer has it."""

from __future__ import annotations

import numpy as np
import pytest

from scene.formats import read_splats, write_splats
from tests.helpers import data_path
from tests.scene.formats.arrays import cloud, differences
from utils.errors import UserError


def test_round_trip_is_within_a_byte(tmp_path):
    arrays = cloud(degree=0)
    write_splats(tmp_path / "a.splat", arrays)
    assert (tmp_path / "a.splat").stat().st_size == 32 * len(arrays)
    found = differences(read_splats(tmp_path / "a.splat"), arrays)
    assert found.xyz == 0 and found.scaling < 1e-5
    assert found.color < 0.51 / 255 and found.opacity < 0.51 / 255 and found.rotation < 1e-4


def test_a_file_made_by_hand(tmp_path):
    row = np.array([1, 2, 3, 0.5, 1, 2], "<f4").tobytes() + bytes([255, 0, 51, 128, 255, 128, 128, 128])
    (tmp_path / "a.splat").write_bytes(row)
    read = read_splats(tmp_path / "a.splat")
    np.testing.assert_array_equal(read.xyz, [[1, 2, 3]])
    np.testing.assert_allclose(np.exp(read.scaling), [[0.5, 1, 2]], rtol=1e-6)
    np.testing.assert_allclose(read.f_dc[0, 0] * 0.28209479 + 0.5, [1, 0, 0.2], atol=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-read.opacity)), 128 / 255, rtol=1e-6)
    np.testing.assert_array_equal(read.rotation, [[127 / 128, 0, 0, 0]])


def test_what_covers_most_comes_first(tmp_path):
    arrays = cloud(degree=0)
    write_splats(tmp_path / "a.splat", arrays)
    read = read_splats(tmp_path / "a.splat")
    cover = np.exp(read.scaling.sum(1)) / (1 + np.exp(-read.opacity[:, 0]))
    exact = -np.sort(-np.exp(arrays.scaling.sum(1)) / (1 + np.exp(-arrays.opacity[:, 0])))
    half_a_byte = np.exp(read.scaling.sum(1)) / 255
    assert (np.abs(cover - exact) <= half_a_byte).all()


def test_what_has_no_room_is_said(tmp_path, capsys):
    write_splats(tmp_path / "a.splat", cloud(degree=2, feature_dim=3))
    assert "no room for features and colours that depend on the view" in capsys.readouterr().err
    with pytest.raises(UserError, match="no Gaussians to write"):
        write_splats(tmp_path / "b.splat", cloud(count=0))
    assert not (tmp_path / "b.splat").exists()


@pytest.mark.parametrize(("size", "message"), [(0, "has 0 bytes"), (33, "has 33 bytes"), (31, "expected 32 for each")])
def test_other_sizes_are_refused(tmp_path, size, message):
    (tmp_path / "a.splat").write_bytes(bytes(size))
    with pytest.raises(UserError, match=message):
        read_splats(tmp_path / "a.splat")


def test_values_that_are_no_numbers(tmp_path, capsys):
    rows = np.frombuffer(np.random.default_rng(0).bytes(32 * 4), np.uint8).reshape(4, 32).copy()
    numbers = rows[:, :24].copy().view("<f4")
    numbers[:] = 1
    numbers[0, 1], numbers[1, 3], numbers[2, 4] = np.nan, np.inf, 0
    rows[:, :24] = numbers.view(np.uint8)
    rows.tofile(tmp_path / "a.splat")
    read = read_splats(tmp_path / "a.splat")
    assert len(read) == 2 and read.scaling.min() == -20
    assert "dropped 2 of 4" in capsys.readouterr().err


def test_foreign_file_and_its_twin():
    folder = data_path("splat_formats")
    splat, plain = read_splats(folder / "chair_radegs.splat"), read_splats(folder / "chair_radegs.ply")
    np.testing.assert_array_equal(splat.xyz, plain.xyz)
    np.testing.assert_allclose(splat.scaling, plain.scaling, atol=1e-6)
    np.testing.assert_allclose(splat.f_dc, plain.f_dc, atol=1e-6)
    opaque = np.abs(plain.opacity) < 6  # farther out a byte says little
    np.testing.assert_allclose(splat.opacity[opaque], plain.opacity[opaque], atol=1e-2)
    assert len(read_splats(folder / "tiny" / "minimal.splat")) == 4
