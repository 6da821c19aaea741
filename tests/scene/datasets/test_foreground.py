"""Masks of what may move, however they were written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from scene.datasets.foreground import read_foreground
from scene.scene_info import CameraInfo, DatasetError
from utils.errors import UserError

HALVES = np.arange(12) // 6 + np.zeros((8, 1), np.uint8)  # left 0, right 1


def read(path):
    info = CameraInfo("a.png", path.with_name("a.png"), np.eye(4), 10, 10, 6, 4, 12, 8)
    return read_foreground(replace(info, foreground_path=path))


def bilevel():
    return Image.fromarray(HALVES > 0)


def ones():
    return Image.fromarray(HALVES.astype(np.uint8))


def palette():
    image = Image.fromarray(HALVES.astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, 128, 0, 0])
    return image


def rgba():
    return Image.fromarray(np.dstack([255 * HALVES.astype(np.uint8)] * 3 + [np.full((8, 12), 255, np.uint8)]))


@pytest.mark.parametrize("make", [bilevel, ones, palette, rgba])
def test_hard_masks(tmp_path, make):
    make().save(tmp_path / "f.png")
    share = read(tmp_path / "f.png")
    assert share.dtype == np.uint8
    np.testing.assert_array_equal(share, 255 * HALVES)


def test_shares_stay_shares_and_nothing_stays_nothing(tmp_path):
    soft = np.linspace(0, 250, 96).astype(np.uint8).reshape(8, 12)
    Image.fromarray(soft).save(tmp_path / "f.png")
    np.testing.assert_array_equal(read(tmp_path / "f.png"), soft)
    Image.fromarray(0 * soft).save(tmp_path / "f.png")
    assert read(tmp_path / "f.png").max() == 0


def test_what_cannot_be_used_is_said(tmp_path):
    Image.fromarray(np.zeros((8, 13), np.uint8)).save(tmp_path / "f.png")
    with pytest.raises(DatasetError, match="is 13x8; expected 12x8 as a.png"):
        read(tmp_path / "f.png")
    (tmp_path / "f.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="f.png is not a readable image"):
        read(tmp_path / "f.png")
