import pytest
import torch

from encoders.sam_net.frame import GRID, Frame, require_embedding


@pytest.mark.parametrize(
    ("size", "cells"),
    [((1920, 1080), (64, 36)), ((1080, 1920), (36, 64)), ((1920, 1440), (64, 48)), ((1500, 1000), (64, 43))],
)
def test_cells_of_common_shapes(size, cells):
    assert Frame(*size).cells == cells


@pytest.mark.parametrize("size", [(450, 300), (300, 451), (64, 64), (5000, 3), (1, 1)])
def test_cells_are_those_whose_centre_lies_on_the_picture(size):
    frame = Frame(*size)
    for side, cells in zip(frame.shown, frame.cells, strict=True):
        inside = sum(16 * cell + 8 < side for cell in range(GRID))
        assert cells == max(1, inside)


def test_the_placement_says_where_cells_lie_on_the_picture():
    frame = Frame(1920, 1080)
    x0, dx, y0, dy = frame.placement
    assert x0 * 1920 == pytest.approx(8 * 1920 / 1024)
    assert (x0 + 63 * dx) * 1920 == pytest.approx((63 * 16 + 8) * 1920 / 1024)
    assert (y0 + 35 * dy) * 1080 == pytest.approx((35 * 16 + 8) * 1080 / 576)
    assert y0 + 36 * dy > 1 - dy / 2  # the next row would be padding


def test_pixels_are_scaled_and_moved_to_the_pixel_centre():
    places = Frame(512, 256).normalised(torch.tensor([[0.0, 0.0], [511.5, 255.5]]))
    torch.testing.assert_close(places * 1024, torch.tensor([[0.5, 0.5], [1023.5, 511.5]]))


def test_wrong_sizes_are_one_line():
    with pytest.raises(ValueError, match="expected positive sides"):
        Frame(0, 4)
    with pytest.raises(ValueError, match=r"\(256, 36, 64\); expected \(256, 64, 64\)"):
        require_embedding(torch.zeros(256, 36, 64))
