"""scene/motion/trajectories.py: poses at stored moments and between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from scene.motion.trajectories import Trajectories

TIMES = torch.linspace(0, 1, 8, dtype=torch.float64)
COUNT = 5


def random_paths(colored: bool = True) -> Trajectories:
    make = torch.Generator().manual_seed(2)
    means, quats, colors = (torch.randn(len(TIMES), COUNT, width, generator=make) for width in (3, 4, 3))
    return Trajectories(TIMES, means, quats, colors if colored else None)


def turn(quats: torch.Tensor) -> np.ndarray:
    """Rotation matrices, which do not know the signs of quaternions."""
    return Rotation.from_quat(quats.numpy()[..., [1, 2, 3, 0]]).as_matrix()


@pytest.mark.parametrize("index", range(len(TIMES)))
def test_stored_moments_are_exact(index):
    paths = random_paths()
    means, quats, colors = paths.at(float(TIMES[index]))
    assert torch.equal(means, paths.means[index]) and torch.equal(colors, paths.colors[index])
    assert torch.equal(quats, torch.nn.functional.normalize(paths.quats_wxyz[index], dim=-1))


@pytest.mark.parametrize("index", range(len(TIMES)))
def test_times_that_were_rounded_mean_the_same_moment(index):
    """As picture times are, which come from files or from other arithmetic."""
    paths = random_paths()
    rounded = (np.float32(index) / np.float32(7), round(index / 7, 6), index * (1 / 7))
    for time in rounded:
        means, quats, colors = paths.at(float(time))
        torch.testing.assert_close(means, paths.means[index], rtol=0, atol=1e-4)
        torch.testing.assert_close(colors, paths.colors[index], rtol=0, atol=1e-4)
        np.testing.assert_allclose(turn(quats), turn(paths.quats_wxyz[index]), atol=1e-4)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.85])
def test_between_moments_places_go_straight_and_rotations_the_short_way(share):
    paths = random_paths()
    time = float(torch.lerp(TIMES[2], TIMES[3], share))
    means, quats, colors = paths.at(time)
    torch.testing.assert_close(means, (1 - share) * paths.means[2] + share * paths.means[3])
    torch.testing.assert_close(colors, (1 - share) * paths.colors[2] + share * paths.colors[3])
    for row in range(COUNT):
        ends = Rotation.from_quat(paths.quats_wxyz[2:4, row].numpy()[:, [1, 2, 3, 0]])
        np.testing.assert_allclose(turn(quats[row]), Slerp([0, 1], ends)(share).as_matrix(), atol=1e-5)


def test_uneven_moments():
    paths = Trajectories(
        torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64),
        torch.tensor([0.0, 1.0, 10.0])[:, None, None].expand(3, 1, 3),
        torch.ones(3, 1, 4),
    )
    for time in (0.0, 0.05, 0.1, 0.37, 1.0):
        torch.testing.assert_close(paths.at(time)[0], torch.full((1, 3), 10 * time))


def test_outside_everything_stands_still():
    paths = random_paths()
    assert torch.equal(paths.at(-3.0)[0], paths.means[0])
    assert torch.equal(paths.at(1.5)[0], paths.means[-1])
    single = Trajectories(TIMES[:1], paths.means[:1], paths.quats_wxyz[:1])
    for time in (-1.0, 0.0, 0.4):
        assert torch.equal(single.at(time)[0], paths.means[0]) and single.at(time)[2] is None


def test_rows_are_those_of_a_mask_or_of_indices():
    paths = random_paths()
    mask = torch.tensor([True, False, False, True, False])
    for chosen in (mask, torch.tensor([0, 3])):
        part = paths.rows(chosen)
        assert part.num_gaussians == 2 and paths.num_gaussians == COUNT
        for one, whole in zip(part.at(0.3), paths.at(0.3), strict=True):
            assert torch.equal(one, whole[mask])
    assert random_paths(colored=False).rows(mask).colors is None


def test_on_a_device_times_stay_where_they_are_read():
    moved = random_paths().to("meta")
    assert {moved.means.device.type, moved.quats_wxyz.device.type, moved.colors.device.type} == {"meta"}
    assert moved.times.device.type == "cpu" and moved.times.dtype == torch.float64
    assert random_paths(colored=False).to("cpu").colors is None
