from __future__ import annotations

import numpy as np
import pytest

from capture.masks import difference_mask, empty_stage, find_masks, read_mask, read_plate
from utils.errors import UserError
from utils.image_io import write_png


def stage_with(column=None):
    rng = np.random.default_rng(0)
    image = (120 + rng.integers(-3, 4, (60, 80, 3))).astype(np.uint8)
    if column is not None:
        image[20:40, column : column + 16] = (200, 40, 40)
    return image


def test_the_median_is_the_stage_without_what_moves():
    plate = empty_stage([stage_with(column) for column in (0, 20, 40, 60, 4)])
    np.testing.assert_array_equal(plate, stage_with())


def test_what_moves_is_found_and_noise_and_shadow_are_not():
    image = stage_with(30)
    image[5, 5] = 255
    image[45:55, 10:30] -= 25  # a soft shadow
    mask = difference_mask(image, stage_with(), 12)
    true = np.zeros((60, 80), bool)
    true[20:40, 30:46] = True
    assert (mask & true).sum() / (mask | true).sum() > 0.8
    assert not mask[:15].any() and not mask[45:55].any()


def test_given_masks_are_counted_and_read_in_any_range(tmp_path):
    for index, top in enumerate((1, 255)):
        mask = np.zeros((6, 8), np.uint8)
        mask[:3] = top
        write_png(tmp_path / "cam" / f"{index}.png", mask)
    paths = find_masks(tmp_path, "cam", 2)
    for path in paths:
        assert read_mask(path, (8, 6))[:3].all() and not read_mask(path, (8, 6))[3:].any()
    with pytest.raises(UserError, match="2 masks for the 3 frames"):
        find_masks(tmp_path, "cam", 3)
    with pytest.raises(UserError, match="no picture of camera cam"):
        read_plate(tmp_path, "cam", (8, 6))
