"""training/moment_watch.py"""

from types import SimpleNamespace

import pytest

from arguments import TrackingParams
from training.moment_watch import MomentWatch
from utils.errors import UserError


class Log:
    def __init__(self):
        self.records = []

    def write(self, iteration, split, **figures):
        self.records.append((iteration, split, figures))


def trainer(step: int, psnr: float):
    """What a trainer shows of a moment."""
    motion = SimpleNamespace(step=step, admitted=[0, 1], times=[0.0, 0.5, 1.0], speed=lambda: 0.1)
    scene = SimpleNamespace(train=("a", "b"))
    model = SimpleNamespace(motion=motion)
    return SimpleNamespace(model=model, scene=scene, iteration=7, seconds=1.0, quality=lambda views: {"psnr": psnr})


def test_moments_are_logged_and_a_sudden_drop_stops():
    watch, log = MomentWatch(TrackingParams(), extent=1.0), Log()
    for step, psnr in enumerate((40.0, 30.0, 28.0)):  # the first moment is no measure
        watch.report(trainer(step, psnr), log)
    assert [figures["moment"] for _, _, figures in log.records] == [0, 1, 2]
    with pytest.raises(UserError, match=r"moment 4: PSNR 24\.90 dB after 28\.00 dB"):
        watch.report(trainer(3, 24.9), log)
    with pytest.raises(UserError, match="PSNR nan"):
        watch.report(trainer(4, float("nan")), log)


def test_without_a_limit_nothing_stops():
    watch, log = MomentWatch(TrackingParams(max_drop_db=0.0), extent=1.0), Log()
    for step, psnr in enumerate((40.0, 30.0, 5.0)):
        watch.report(trainer(step, psnr), log)
    assert len(log.records) == 3


def test_a_leap_of_everything_stops():
    with pytest.raises(
        UserError, match=r"moment 2: what may move has moved by 0\.1 on average; expected at most 0\.08"
    ):
        MomentWatch(TrackingParams(), extent=0.4).report(trainer(1, 30.0), Log())
    MomentWatch(TrackingParams(max_displacement=0.0), extent=0.4).report(trainer(1, 30.0), Log())
