import numpy as np
import pytest

from utils.legend import ROWS, legend_picture


@pytest.mark.parametrize("count", [1, 3, ROWS + 2])
def test_every_colour_is_shown_and_something_is_written_beside_it(count):
    colors = np.stack([np.arange(count) + 10, np.arange(count) * 3, np.full(count, 200)], axis=1).astype(np.uint8)
    picture = legend_picture([f"class {i}" for i in range(count)], colors)
    pixels = picture.reshape(-1, 3)
    for color in colors:
        assert (pixels == color).all(1).sum() >= 100
    assert (pixels.max(1) < 60).sum() > 20 * count, "dark text"
    assert (picture[0] == 255).all() and (picture[-1] == 255).all(), "a white edge"


def test_longer_names_make_it_wider():
    one, other = (legend_picture([name], np.zeros((1, 3), np.uint8)).shape for name in ("sky", "a rather long name"))
    assert other[1] > one[1] and other[0] == one[0]


def test_names_and_colours_must_be_equally_many():
    with pytest.raises(ValueError):
        legend_picture(["a", "b"], np.zeros((1, 3), np.uint8))
