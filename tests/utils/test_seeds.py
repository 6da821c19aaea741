import random

import numpy as np
import torch

from utils.files import load_torch, save_torch
from utils.seeds import rng_state, set_rng_state, set_seed


def draw() -> list[float]:
    return [random.random(), random.gauss(0, 1), float(np.random.randn()), float(torch.randn(1)), float(torch.rand(1))]


def test_equal_seeds_draw_equal_numbers():
    set_seed(3)
    first = draw()
    set_seed(3)
    assert draw() == first
    set_seed(4)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_state_survives_a_safe_file(tmp_path):
    set_seed(0)
    draw()  # leaves a spare normal number in `random` and NumPy
    save_torch(tmp_path / "rng.pth", rng_state())
    expected = [draw() for _ in range(3)]
    set_seed(9)
    set_rng_state(load_torch(tmp_path / "rng.pth"))
    assert [draw() for _ in range(3)] == expected
