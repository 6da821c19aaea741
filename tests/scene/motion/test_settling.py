"""scene/motion/settling.py"""

import torch

from scene.motion.settling import WINDOW, Settling


def test_a_moment_settles_when_its_loss_stops_falling():
    settling = Settling(0.01)
    for window, loss in enumerate((1.0, 0.5, 0.4, 0.399)):
        for _ in range(WINDOW):
            assert not settling.is_settled
            settling.observe(torch.tensor(loss))
        assert settling.is_settled == (window == 3)
    settling.restart()
    assert not settling.is_settled


def test_without_tolerance_it_never_does():
    settling = Settling(0.0)
    for _ in range(3 * WINDOW):
        settling.observe(torch.tensor(1.0))
    assert not settling.is_settled
