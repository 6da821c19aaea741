"""The motion of a scene in which nothing moves."""

from __future__ import annotations

import pytest
import torch

from arguments import MotionParams
from scene.initialization import InitOptions, from_random
from scene.motion import MotionSetup, make_motion
from utils.errors import UserError


def test_static_is_the_same_at_every_time_and_adds_nothing(tmp_path):
    model = from_random(InitOptions(count=4), ((0.0,) * 3, (1.0,) * 3), "cpu")
    motion = make_motion("static", MotionSetup(MotionParams()))
    for time in (0.0, 0.4, 1.0):
        torch.testing.assert_close(motion.at(model, time).scales, model.activated().scales, rtol=0, atol=0)
    motion.on_iteration(1, model)
    motion.save(tmp_path)
    assert motion.parameter_groups() == [] and motion.losses() == {} and motion.training_time(0.3, 5) == 0.3
    assert motion.is_static and not list(tmp_path.iterdir())


def test_unknown_motion_lists_the_known():
    with pytest.raises(UserError, match="static"):
        make_motion("statik", MotionSetup(MotionParams()))
