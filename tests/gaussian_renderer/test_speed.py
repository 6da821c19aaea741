"""Frames per second count what is shown, at every camera's moment, without the first frames."""

from types import SimpleNamespace

import pytest
import torch

from gaussian_renderer import speed
from tests.blobs import REFERENCE
from tests.moving_blobs import moving_blobs, timed_ring


@pytest.mark.parametrize("views", [1, 7])
def test_the_first_five_frames_do_not_count(views, monkeypatch):
    clock, asked = [0.0], []

    def render(camera, model, background, *, settings):
        asked.append(camera.time)
        assert not settings.with_features
        model.at(camera.time)
        clock[0] += 100.0 if len(asked) <= 5 else 0.25

    monkeypatch.setattr(speed, "render", render)
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    cameras = timed_ring(7)[:views]
    fps = speed.frames_per_second(cameras, moving_blobs(), torch.zeros(3), REFERENCE)
    assert fps == pytest.approx(4.0)
    assert len(asked) == views + 5 and set(asked) == {camera.time for camera in cameras}


def test_a_real_one_is_positive():
    assert speed.frames_per_second(timed_ring(2), moving_blobs(), torch.zeros(3), REFERENCE) > 0
