"""The parts of the demo that can go wrong without training anything."""

import numpy as np
import pytest

from examples import demo
from utils.errors import UserError
from utils.files import write_json
from utils.image_io import write_png


def write_labels(folder, count=10):
    """View k shows object 3 as a square whose size grows with k; views 0 and 8 are held out."""
    for index in range(count):
        labels = np.zeros((40, 60), np.uint8)
        labels[10 : 12 + 2 * index, 20 : 22 + 2 * index] = 3
        write_png(folder / f"view_{index:03d}.png", labels)
    write_json(folder / "classes.json", {"0": "background", "3": "ball"})


def test_the_click_is_inside_the_object_in_the_training_view_that_shows_it_largest(tmp_path):
    write_labels(tmp_path)
    click = demo.choose_click(tmp_path, "ball")
    assert click.view_name == "view_009" and click.view == 7, "nine views before it, two of them held out"
    assert abs(click.point[0] - 30) <= 1 and abs(click.point[1] - 20) <= 1


def test_an_object_that_is_not_there_is_named(tmp_path):
    write_labels(tmp_path)
    with pytest.raises(UserError, match="'cube' is not in the scene; there are background, ball"):
        demo.choose_click(tmp_path, "cube")


def test_a_step_that_fails_ends_the_demo(tmp_path):
    with pytest.raises(UserError, match="render.py ended with exit code 1"):
        demo.timed("render.py", "-m", tmp_path)


def test_the_schedule_follows_the_number_of_steps():
    words = demo.training_flags(demo.DemoOptions(iterations=1000))
    flags = dict(zip(words[3::2], words[4::2], strict=True))
    assert flags["--iterations"] == 1000 and flags["--densify_until_iter"] < 1000 < flags["--opacity_reset_interval"]
