"""Similarity transforms over time."""

import math

import pytest
import torch

from scene.composition.transform import Keyframe, Pose, Similarity, placed, pose_at
from utils.transforms import quaternion_to_matrix

QUARTER = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)  # 90 degrees about y: z goes to x
POINTS = torch.tensor([[[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]], dtype=torch.float64)
ORIGIN = torch.zeros(3, dtype=torch.float64)


def still(pose, pivot=ORIGIN, copy=None):
    return placed([Keyframe(0.0, pose)], copy or Pose(), pivot, (0.0,))


def test_a_pose_turns_scales_and_shifts():
    moved = still(Pose((10.0, 0.0, 0.0), QUARTER, 2.0)).points(POINTS)[0]
    torch.testing.assert_close(moved, torch.tensor([[16.0, 4.0, -2.0], [10.0, 0.0, 0.0]], dtype=torch.float64))


def test_the_pivot_stays_where_it_is_but_for_the_shift():
    pivot = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    moved = still(Pose((0.0, 5.0, 0.0), QUARTER, 3.0), pivot).points(pivot[None, None])[0, 0]
    torch.testing.assert_close(moved, pivot + torch.tensor([0.0, 5.0, 0.0], dtype=torch.float64))


def test_a_copy_turns_on_the_spot_and_is_shifted_in_the_world():
    pivot, own = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), Pose((0.0, 5.0, 0.0), QUARTER)
    copy = still(own, pivot, Pose((2.0, 0.0, 0.0), QUARTER, 2.0))
    expected = pivot + torch.tensor([2.0, 5.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(copy.points(pivot[None, None])[0, 0], expected)
    away = copy.points(pivot[None, None] + torch.tensor([0.0, 0.0, 1.0]))[0, 0] - expected
    torch.testing.assert_close(away, torch.tensor([0.0, 0.0, -2.0], dtype=torch.float64))  # two quarter turns, twice


def test_after_is_one_after_the_other():
    first, second = still(Pose((1.0, 2.0, 3.0), QUARTER, 0.5)), still(Pose((0.0, -1.0, 4.0), (0.5, 0.5, 0.5, 0.5), 3.0))
    torch.testing.assert_close(second.after(first).points(POINTS), second.points(first.points(POINTS)))


def test_orientations_turn_as_points_do():
    place = still(Pose((1.0, 0.0, 0.0), (0.5, 0.5, 0.5, 0.5)))
    quats = torch.tensor([[[0.6, 0.0, 0.8, 0.0]]], dtype=torch.float64)
    expected = quaternion_to_matrix(place.quats_wxyz)[0] @ quaternion_to_matrix(quats[0, 0])
    torch.testing.assert_close(quaternion_to_matrix(place.orientations(quats)[0, 0]), expected)


def test_key_frames_are_interpolated_and_held():
    keys = [Keyframe(0.2, Pose()), Keyframe(0.6, Pose((4.0, 0.0, 0.0), QUARTER))]
    assert pose_at(keys, 0.0) == Pose() and pose_at(keys, 0.9) == keys[1].pose
    middle = pose_at(keys, 0.4)
    assert middle.translate == pytest.approx((2.0, 0.0, 0.0))
    assert 2 * math.degrees(math.acos(middle.quat_wxyz[0])) == pytest.approx(45.0)
    assert pose_at(keys, 0.6) == keys[1].pose


def test_what_changes_is_known():
    assert not Similarity.identity(3).changes
    sliding = placed([Keyframe(0.0, Pose()), Keyframe(1.0, Pose((1.0, 0.0, 0.0)))], Pose(), ORIGIN, (0.0, 1.0))
    assert sliding.changes and not sliding.turns
    turning = placed([Keyframe(0.0, Pose()), Keyframe(1.0, Pose(quat_wxyz=QUARTER))], Pose(), ORIGIN, (0.0, 1.0))
    assert turning.turns
