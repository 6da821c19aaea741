"""Regions of similar features that hang together."""

import torch

from scene.clusters import cluster
from scene.selection import Cloud


def balls(noise=0.1, features=(0, 1, 2), gap=3.0, count=200):
    """Balls of points in a row, with the unit vector of the given number as their feature."""
    generator = torch.Generator().manual_seed(0)
    number = torch.arange(len(features)).repeat_interleave(count)
    means = gap * number[:, None] * torch.tensor([1.0, 0, 0]) + 0.4 * torch.randn(len(number), 3, generator=generator)
    rows = torch.eye(8)[torch.tensor(features)[number]] + noise * torch.randn(len(number), 8, generator=generator)
    return rows, Cloud.of(means, torch.ones(len(number)))


def purity(numbers, groups):
    """Share of each group that has the group's most frequent number."""
    return [float((part == part.mode().values).float().mean()) for part in numbers.reshape(groups, -1)]


def test_every_ball_is_one_region_also_with_noise():
    for noise in (0.0, 0.1, 0.3):
        numbers = cluster(*balls(noise))
        assert min(purity(numbers, 3)) > 0.97, noise
        assert (numbers.bincount() > 10).sum() == 3


def test_touching_things_part_by_their_features_only():
    assert cluster(*balls(features=(0, 1), gap=0.8)).max() == 2
    assert cluster(*balls(features=(0, 0), gap=0.8)).max() == 1
    assert cluster(*balls(features=(0, 0), gap=30.0)).max() == 2, "equal but apart"


def test_the_threshold_decides_what_is_one():
    rows, cloud = balls(noise=0.01, features=(0, 1), gap=0.8)
    near = rows + 1.0  # all cosines are higher now
    assert cluster(near, cloud, similar=0.999).max() >= 2
    assert cluster(near, cloud, similar=0.5).max() == 1


def test_numbers_go_by_weight_and_crumbs_join_the_nearest():
    rows, cloud = balls(noise=0.0)
    weight = torch.tensor([1.0, 3.0, 2.0]).repeat_interleave(200)
    rows[250] = torch.eye(8)[5]  # one odd Gaussian inside the second ball
    numbers = cluster(rows, Cloud(weight, cloud.neighbours))
    assert [int(part.mode().values) for part in numbers.reshape(3, 200)] == [3, 1, 2]
    assert numbers[250] == 1


def test_one_gaussian_is_no_special_case():
    assert cluster(torch.ones(1, 3), Cloud.of(torch.zeros(1, 3), torch.ones(1))).tolist() == [1]
