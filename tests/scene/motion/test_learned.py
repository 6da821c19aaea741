"""scene/motion/learned.py: how fast motions learn."""

from __future__ import annotations

import pytest
import torch

from arguments import MotionParams
from scene.motion import MotionSetup, make_motion


def rate_of(**given):
    return make_motion("motion_bases", MotionSetup(MotionParams(num_bases=2, **given))).rates()["deform"]


def test_without_growing_the_rate_is_the_published_one():
    rate = rate_of(grow_steps=0)
    assert [rate(step) for step in (0, 20_000, 40_000)] == pytest.approx([8e-4, 3.58e-5, 1.6e-6], rel=1e-2)


def test_the_rate_falls_once_all_pictures_are_there():
    rate = rate_of(grow_steps=60, deform_lr_max_steps=100)
    assert rate(1) == rate(60) == pytest.approx(8e-4)
    assert rate(80) == pytest.approx((8e-4 * 1.6e-6) ** 0.5) and rate(100) == pytest.approx(1.6e-6)


@pytest.mark.parametrize(("kind", "given", "used"), [("deform_mlp", None, 0.03), ("motion_bases", None, 0.0)])
def test_each_motion_has_a_usual_weight_of_its_regulariser(kind, given, used):
    motion = make_motion(kind, MotionSetup(MotionParams(lambda_offset=given, num_bases=2)))
    motion.note(torch.tensor([[3.0, 4.0, 0.0]]))
    assert motion.losses().get("offset", torch.tensor(0.0)).item() == pytest.approx(5 * used)
