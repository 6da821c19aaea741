"""Compressed PLY: round trips within its steps, files of SuperSplat's tools, and broken ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scene.formats import read_splats, write_splats
from tests.helpers import data_path
from tests.scene.formats.arrays import cloud, differences
from utils.errors import UserError

NAME = "a.compressed.ply"


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip_is_within_a_step(tmp_path, degree):
    arrays = cloud(degree=degree)
    write_splats(tmp_path / NAME, arrays)
    found = differences(read_splats(tmp_path / NAME), arrays)
    width = np.ptp(arrays.xyz, axis=0).max()
    assert found.xyz < width / 1023 and found.scaling < np.ptp(arrays.scaling) / 1023
    assert found.color < 0.6 / 255 and found.opacity < 0.51 / 255 and found.rotation < 3e-6
    assert found.rest <= (8 / 256 / 2) * 1.001 if degree else found.rest == 0


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257])
def test_any_number_of_gaussians(tmp_path, count):
    arrays = cloud(count=count, degree=1)
    write_splats(tmp_path / NAME, arrays)
    assert len(read_splats(tmp_path / NAME)) == count
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_equal_values_in_a_chunk_are_exact(tmp_path):
    arrays = cloud(count=40, degree=0).map(lambda value: np.repeat(value[:1], 40, axis=0))
    write_splats(tmp_path / NAME, arrays)
    read = read_splats(tmp_path / NAME)
    np.testing.assert_allclose(read.xyz, arrays.xyz, rtol=1e-6)
    np.testing.assert_allclose(read.scaling, arrays.scaling, rtol=1e-6)
    np.testing.assert_allclose(read.f_dc, arrays.f_dc, atol=1e-6)


def test_extremes_are_kept_finite(tmp_path, capsys):
    arrays = cloud(count=6, degree=1, feature_dim=2)
    arrays.opacity[:2, 0] = (80, -80)
    arrays.scaling[2, 0] = -50
    arrays.rotation[3] = 0
    arrays.f_rest[4] = 100
    arrays.xyz[5, 1] = np.nan
    write_splats(tmp_path / NAME, arrays)
    warned = capsys.readouterr().err
    assert "no room for features" in warned and "dropped 1 of 6" in warned
    read = read_splats(tmp_path / NAME)
    assert len(read) == 5 and all(np.isfinite(value).all() for value in read.named().values())
    assert read.scaling.min() == pytest.approx(-20, abs=1e-3) and read.f_rest.max() == pytest.approx(4, abs=0.02)


def test_the_content_counts_and_not_the_name(tmp_path):
    write_splats(tmp_path / NAME, cloud(degree=0))
    (tmp_path / NAME).rename(tmp_path / "plain.ply")
    assert len(read_splats(tmp_path / "plain.ply")) == 700


def test_old_files_without_ranges_of_colours(tmp_path):
    arrays = replace(cloud(count=20, degree=0), f_dc=np.zeros((20, 1, 3), np.float32))
    arrays.f_dc[0], arrays.f_dc[1] = -1.7724539, 1.7724539  # black and white: the ranges are 0..1
    write_splats(tmp_path / NAME, arrays)
    header, body = (tmp_path / NAME).read_bytes().split(b"end_header\n")
    for channel in "rgb":
        for end in ("min", "max"):
            header = header.replace(f"property float {end}_{channel}\n".encode(), b"")
    (tmp_path / NAME).write_bytes(header + b"end_header\n" + body[: 12 * 4] + body[18 * 4 :])
    assert differences(read_splats(tmp_path / NAME), arrays).color < 0.6 / 255


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"element chunk 3", b"element chunk 2", "2 chunks of 700 Gaussians; expected 3"),
        (b"element vertex 700", b"element vertex 768", "announces"),
        (b"property uint packed_scale", b"property uint packed_other", "vertex has no packed_scale"),
        (b"property uint packed_scale", b"property float packed_scale", "vertex has no packed_scale"),
        (b"property float max_scale_z", b"property float max_sonst_z", "chunk has no max_scale_z"),
        (b"property float max_b", b"property float max_q", "chunk has no max_b"),
        (b"property uchar f_rest_8", b"property uchar f_rest_9", "expected uchar f_rest_"),
        (b"element sh 700", b"element sh 699", "699 rows of sh for 700"),
        (b"binary_little_endian", b"ascii", "announces"),
    ],
)
def test_broken_files_are_one_line(tmp_path, old, new, message):
    write_splats(tmp_path / NAME, cloud(degree=1))
    whole = (tmp_path / NAME).read_bytes()
    assert old in whole
    (tmp_path / NAME).write_bytes(whole.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as caught:
        read_splats(tmp_path / NAME)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_one_line(tmp_path):
    write_splats(tmp_path / NAME, cloud(count=30, degree=1))
    whole = (tmp_path / NAME).read_bytes()
    for length in range(600, len(whole), 61):
        (tmp_path / NAME).write_bytes(whole[:length])
        with pytest.raises(UserError, match="not a whole PLY file"):
            read_splats(tmp_path / NAME)


def test_changed_bytes_give_finite_numbers_or_one_line(tmp_path):
    write_splats(tmp_path / NAME, cloud(count=20, degree=1))
    whole, random = (tmp_path / NAME).read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(whole)
        changed[random.integers(len(whole))] = random.integers(256)
        (tmp_path / NAME).write_bytes(changed)
        try:
            read = read_splats(tmp_path / NAME)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert all(np.isfinite(value).all() for value in read.named().values())


def test_ranges_that_are_no_numbers(tmp_path, capsys):
    write_splats(tmp_path / NAME, cloud(degree=0))
    header, body = (tmp_path / NAME).read_bytes().split(b"end_header\n")
    nan = np.array([np.nan], "<f4").tobytes()
    (tmp_path / NAME).write_bytes(header + b"end_header\n" + nan + body[4:])
    assert len(read_splats(tmp_path / NAME)) == 700 - 256  # the first chunk is lost
    assert "dropped 256 of 700" in capsys.readouterr().err
    (tmp_path / NAME).write_bytes(header + b"end_header\n" + nan * 54 + body[54 * 4 :])
    with pytest.raises(UserError, match="none of its 700 Gaussians"):
        read_splats(tmp_path / NAME)


def test_files_of_splat_transform():
    folder = data_path("splat_formats") / "tiny"
    found = differences(read_splats(folder / "sh3.compressed.ply"), read_splats(folder / "sh3.ply"))
    assert found.xyz < 2e-3 and found.scaling < 1e-3 and found.color < 1.7e-3
    assert found.opacity < 2e-3 and found.rotation < 2e-6 and found.rest < 0.0157


def test_we_lose_no_more_than_splat_transform(tmp_path):
    folder = data_path("splat_formats")
    plain = read_splats(folder / "chair_radegs.ply")
    _, first = np.unique(plain.xyz, axis=0, return_index=True)  # a few Gaussians share their place
    plain = plain.map(lambda value: value[np.sort(first)])
    write_splats(tmp_path / NAME, plain)
    ours, theirs = read_splats(tmp_path / NAME), read_splats(folder / "chair_radegs.compressed.ply")
    errors = [np.sort(np.abs(read.xyz.sum(1) - _nearest(plain, read.xyz).sum(1))) for read in (ours, theirs)]
    assert np.median(errors[0]) <= 1.05 * np.median(errors[1])
    assert (tmp_path / NAME).stat().st_size <= (folder / "chair_radegs.compressed.ply").stat().st_size


def _nearest(arrays, points):
    from scipy.spatial import cKDTree

    return arrays.xyz[cKDTree(arrays.xyz).query(points)[1]]
