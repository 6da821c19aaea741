"""K-means on the sphere."""

import torch
import torch.nn.functional as F

from utils.kmeans import spherical_kmeans


def test_separate_groups_get_a_centre_each():
    truth = torch.arange(4).repeat_interleave(50)
    rows = F.normalize(
        torch.eye(6)[truth] + 0.1 * torch.randn(200, 6, generator=torch.Generator().manual_seed(0)), dim=1
    )
    centres = spherical_kmeans(rows, 8)
    nearest = (rows @ centres.T).argmax(1)
    for index in range(len(centres)):
        assert len(truth[nearest == index].unique()) == 1, "no centre serves two groups"
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(len(centres)))


def test_equal_rows_need_one_centre_and_equal_calls_agree():
    row = F.normalize(torch.tensor([[1.0, 2, 3]]), dim=1)
    torch.testing.assert_close(spherical_kmeans(row.repeat(9, 1), 5), row)
    rows = F.normalize(torch.randn(300, 5), dim=1)
    assert torch.equal(spherical_kmeans(rows, 7), spherical_kmeans(rows, 7))


def test_more_rows_than_are_looked_at():
    rows = torch.eye(2).repeat(20_000, 1)
    assert len(spherical_kmeans(rows, 4)) in (1, 2)
