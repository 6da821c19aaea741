"""scene/motion/setup.py: what the data set decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arguments import MotionParams
from scene.motion.setup import motion_setup, resolved
from scene.scene_info import CameraInfo, PointCloud, SceneInfo


def scene(times=(0.0, 0.5, 1.0), reader: str = "nerfies", points: np.ndarray | None = None) -> SceneInfo:
    poses = [np.eye(4) for _ in times]
    for index, pose in enumerate(poses):
        pose[:3, 3] = (0.1 * index, 0, 4)
    cameras = tuple(
        CameraInfo(f"{index}.png", Path("x"), pose, 10, 10, 5, 5, 10, 10, time)
        for index, (pose, time) in enumerate(zip(poses, times, strict=True))
    )
    cloud = None if points is None else PointCloud(points.astype(np.float32), np.zeros_like(points, np.float32))
    return SceneInfo(cameras, (), cloud, Path("x"), reader)


@pytest.mark.parametrize(
    ("given", "times", "kind"),
    [
        ({}, (0.0, 0.5), "motion_bases"),
        ({}, (0.3, 0.3), "static"),
        ({"is_6dof": True}, (0.0, 0.5), "deform_mlp"),
        ({"compat": True}, (0.0, 0.5), "deform_mlp"),
        ({"motion": "deform_mlp"}, (0.0, 0.5), "deform_mlp"),
    ],
)
def test_the_times_decide_whether_something_moves(given, times, kind):
    assert resolved(scene(times), MotionParams(**given)).motion == kind


def test_synthetic_scenes_get_their_network_and_others_a_warning(capsys):
    assert resolved(scene(reader="blender"), MotionParams()).is_blender
    assert not resolved(scene(), MotionParams()).is_blender
    assert capsys.readouterr().err == ""
    assert resolved(scene(), MotionParams(is_blender=True)).is_blender
    assert "--is_blender is for synthetic scenes" in capsys.readouterr().err


def test_a_motion_of_one_moment_is_questioned(capsys):
    resolved(scene((0.5, 0.5)), MotionParams(motion="deform_mlp"))
    assert "one moment" in capsys.readouterr().err


def test_the_ball_is_around_the_points_without_the_stray_ones():
    points = np.concatenate([np.random.default_rng(0).normal((5, 0, 1), 0.3, (500, 3)), [[900.0, 0, 0]]])
    setup = motion_setup(scene(points=points), MotionParams(), "cpu")
    assert setup.center == pytest.approx((5, 0, 1), abs=0.1) and 0.4 < setup.radius < 1.2
    assert setup.num_times == 3


def test_synthetic_and_compatible_scenes_are_taken_as_they_are():
    points = np.full((10, 3), 7.0)
    for info, params in (
        (scene(reader="blender"), MotionParams()),
        (scene(points=points), MotionParams(compat_scale=True)),
    ):
        setup = motion_setup(info, params, "cpu")
        assert (setup.center, setup.radius) == ((0.0, 0.0, 0.0), 1.0)


def test_without_points_the_ball_is_what_the_cameras_look_at():
    assert motion_setup(scene(), MotionParams(), "cpu").radius == pytest.approx(0.1)
