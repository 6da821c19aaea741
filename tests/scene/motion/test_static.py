"""The motion of a scene in which nothing moves."""

from __future__ import annotations

import pytest
import torch

from scene.initialization import InitOptions, from_random
from scene.motion import make_motion
from utils.errors import UserError


def test_static_is_the_same_at_every_time_and_adds_nothing():
    model = from_random(InitOptions(count=4), ((0.0,) * 3, (1.0,) * 3), "cpu")
    motion = make_motion("static")
    for time in (0.0, 0.4, 1.0):
        torch.testing.assert_close(motion.at(model, time).scales, model.activated().scales, rtol=0, atol=0)
    motion.on_iteration(1)
    assert motion.parameter_groups() == [] and motion.losses(model, 0.5) == {}


def test_unknown_motion_lists_the_known():
    with pytest.raises(UserError, match="static"):
        make_motion("statik")
