"""From clicks to a mask of Gaussians: each step as a property, then the whole on made-up clusters."""

import numpy as np
import pytest
import torch

from scene.selection import (
    Clicks,
    automatic_threshold,
    click_query,
    clicked_gaussians,
    connected_groups,
    drop_islands,
    fill_holes,
    nearest_cosine,
    nearest_neighbours,
    reachable_similarity,
    select,
    smooth,
)
from utils.errors import UserError


def two_surfaces():
    """A picture of two flat surfaces: left, feature 0 at depth 2; right, feature 1 at depth 4."""
    features = torch.zeros(3, 9, 12)
    features[0, :, :6], features[1, :, 6:] = 1.0, 1.0
    depth = torch.full((1, 9, 12), 2.0)
    depth[:, :, 6:] = 4.0
    return features, torch.ones(1, 9, 12), depth


def test_a_query_beside_an_edge_does_not_mix_what_is_behind():
    for x, expected in ((5, [1.0, 0, 0]), (6, [0, 1.0, 0])):
        torch.testing.assert_close(click_query(*two_surfaces(), (x, 4)), torch.tensor(expected))


def test_x_is_the_column():
    assert click_query(*two_surfaces(), (11, 2))[1] == 1.0
    with pytest.raises(UserError, match="outside the image; expected 0..11 0..8"):
        click_query(*two_surfaces(), (2, 11))


def test_a_query_does_not_depend_on_alpha():
    features, alpha, depth = two_surfaces()
    alpha[:, :, 0:4] = 0.3
    torch.testing.assert_close(click_query(features * alpha, alpha, depth, (3, 4)), torch.tensor([1.0, 0, 0]))


def test_clicking_on_nothing_is_one_line():
    features, alpha, depth = two_surfaces()
    with pytest.raises(UserError, match="shows nothing"):
        click_query(features, alpha * 0, depth, (3, 4))


def test_clicked_gaussians_are_those_of_the_clicked_surface():
    _, _, depth = two_surfaces()
    ids = torch.full((9, 12), 7, dtype=torch.int32)
    ids[:, 6:], ids[4, 4] = 9, -1
    assert clicked_gaussians(ids, depth, (5, 4)).tolist() == [7]
    assert clicked_gaussians(ids, depth, (6, 4)).tolist() == [9]


def test_cosine_with_the_nearest_query():
    features = torch.tensor([[2.0, 0], [0, 3.0], [1, 1], [0, 0]])
    one = nearest_cosine(features, torch.tensor([[5.0, 0]]))
    torch.testing.assert_close(one, torch.tensor([1.0, 0, 2**-0.5, 0]))
    both = nearest_cosine(features, torch.eye(2))
    torch.testing.assert_close(both, torch.tensor([1.0, 1, 2**-0.5, 0]))
    assert nearest_cosine(features, torch.zeros(0, 2)).tolist() == [-1.0] * 4


def line_neighbours(count):
    return nearest_neighbours(torch.arange(count)[:, None] * torch.tensor([[1.0, 0, 0]]), 2)


def test_smoothing_keeps_constants_and_ignores_the_unseen():
    neighbours = line_neighbours(5)
    torch.testing.assert_close(smooth(torch.full((5,), 0.7), torch.ones(5), neighbours), torch.full((5,), 0.7))
    values, weight = torch.tensor([1.0, 1, 0, 1, 1]), torch.ones(5)
    assert smooth(values, weight, neighbours)[2] == pytest.approx(0.5)
    weight[2] = 0.0
    assert smooth(values, weight, neighbours)[1] == pytest.approx(1.0), "its unseen neighbour does not pull it down"


def test_reachable_similarity_is_the_weakest_link_of_the_best_chain():
    values = torch.tensor([0.9, 0.8, 0.3, 0.7, 0.95])
    reached = reachable_similarity(values, line_neighbours(5), torch.tensor([0]))
    torch.testing.assert_close(reached, torch.tensor([0.9, 0.8, 0.3, 0.3, 0.3]))
    reached = reachable_similarity(values, line_neighbours(5), torch.tensor([0, 4]))
    torch.testing.assert_close(reached, torch.tensor([0.9, 0.8, 0.3, 0.7, 0.95]))


def test_reachable_similarity_agrees_with_components_at_every_threshold():
    generator = torch.Generator().manual_seed(0)
    neighbours = nearest_neighbours(torch.rand(200, 3, generator=generator), 4)
    values, seed = torch.rand(200, generator=generator), torch.tensor([17])
    values[17] = 1.0
    reached = reachable_similarity(values, neighbours, seed)
    for threshold in (0.2, 0.5, 0.7):
        groups = connected_groups(values >= threshold, neighbours)
        component = torch.from_numpy(groups == groups[17]) & (values >= threshold)
        assert torch.equal(reached >= threshold, component)


def test_islands_are_dropped():
    mask = torch.tensor([True] * 30 + [False] * 5 + [True] + [False] * 4)
    kept = drop_islands(mask, torch.ones(40), line_neighbours(40), min_share=0.05)
    assert kept[:30].all() and not kept[30:].any()
    none = torch.zeros(40, dtype=torch.bool)
    assert torch.equal(drop_islands(none, torch.ones(40), line_neighbours(40), 0.05), none)


def test_holes_are_filled_but_not_what_lies_outside():
    mask = torch.tensor([True] * 10 + [False] * 2 + [True] * 10 + [False] * 18)
    filled = fill_holes(mask, torch.ones(40), line_neighbours(40), max_share=0.2)
    assert filled[:22].all() and not filled[22:].any()
    assert torch.equal(fill_holes(mask, torch.ones(40), line_neighbours(40), max_share=0.05), mask)


def test_a_small_group_far_away_is_no_hole():
    points = torch.cat([torch.arange(30), 1000 + torch.arange(5), 5000 + torch.arange(100)])
    neighbours = nearest_neighbours(points[:, None] * torch.tensor([[1.0, 0, 0]]), 2)
    mask = torch.arange(135) < 30
    assert torch.equal(fill_holes(mask, torch.ones(135), neighbours, max_share=0.5), mask)


def sample(centre, spread, count, seed):
    generator = torch.Generator().manual_seed(seed)
    return (centre + spread * torch.randn(count, generator=generator)).clamp(-1, 1)


@pytest.mark.parametrize("object_share", [0.01, 0.05, 0.3, 0.6])
@pytest.mark.parametrize("others", [(0.0,), (0.4, -0.3), (0.6, 0.1, -0.5)])
def test_the_automatic_threshold_separates_the_nearest_group(object_share, others):
    count = 20000
    inside = sample(0.95, 0.03, int(object_share * count), 1)
    outside = torch.cat(
        [sample(c, 0.05, int((1 - object_share) * count / len(others)), 2 + i) for i, c in enumerate(others)]
    )
    values = torch.cat([inside, outside])
    threshold = automatic_threshold(values, torch.ones(len(values)))
    assert (inside >= threshold).float().mean() > 0.97
    assert (outside >= threshold).float().mean() < 0.01


def test_the_automatic_threshold_counts_by_weight():
    values = torch.cat([sample(0.95, 0.02, 500, 1), sample(0.1, 0.1, 500, 2), sample(0.7, 0.2, 5000, 3)])
    weight = torch.cat([torch.ones(1000), torch.zeros(5000)])
    threshold = automatic_threshold(values, weight)
    assert 0.4 < threshold < 0.93, "the many unseen Gaussians in between do not move it"


@pytest.mark.parametrize("values", [torch.ones(50), torch.zeros(50), torch.ones(1), torch.full((50,), -1.0)])
def test_the_automatic_threshold_of_one_value_is_a_number(values):
    assert -1 <= automatic_threshold(values, torch.ones(len(values))) <= 1


def clusters():
    """Three balls of 300 points; balls 0 and 2 have the same feature but lie apart."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0, 0], [3, 0, 0], [6, 0, 0]]).repeat_interleave(300, 0)
    features = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]]).repeat_interleave(300, 0)
    means = centres + 0.4 * torch.randn(900, 3, generator=generator)
    return means, features + 0.1 * torch.randn(900, 3, generator=generator)


def choose(connected=True, negative=(), threshold=None):
    means, features = clusters()
    clicks = Clicks(torch.tensor([[1.0, 0, 0]]), torch.tensor(negative).reshape(-1, 3), torch.tensor([5]))
    return select(features, clicks, means, torch.ones(900), threshold, connected).mask.reshape(3, 300).float().mean(1)


def test_a_click_selects_its_ball_and_no_other():
    share = choose()
    assert share[0] > 0.97 and share[1] < 0.01 and share[2] < 0.01


def test_without_connection_everything_alike_is_selected():
    share = choose(connected=False)
    assert share[0] > 0.97 and share[1] < 0.01 and share[2] > 0.97


def test_a_threshold_can_be_given():
    assert choose(threshold=2.0).sum() == 0
    assert choose(threshold=-2.0, connected=False).min() == 1


def test_a_negative_query_takes_its_like_away():
    assert choose(threshold=-0.5, connected=False)[1] > 0.9
    share = choose(threshold=-0.5, connected=False, negative=[[0.0, 1, 0]])
    assert share[0] > 0.97 and share[1] < 0.03


def test_a_hole_with_a_negative_click_stays_open():
    means = torch.arange(60)[:, None] * torch.tensor([[1.0, 0, 0]])
    features = torch.tensor([[1.0, 0]]).repeat(60, 1)
    features[30:32] = torch.tensor([0.0, 1])
    for negative, expected in ((torch.zeros(0, 2), 60), (torch.tensor([[0.0, 1]]), 58)):
        clicks = Clicks(torch.tensor([[1.0, 0]]), negative, torch.tensor([5]))
        chosen = select(features, clicks, means, torch.ones(60), threshold=0.6, connected=False)
        assert chosen.mask.sum() == expected and bool(chosen.mask[30]) == (expected == 60)


def test_few_gaussians_are_no_special_case():
    for count in (1, 2, 3):
        clicks = Clicks(torch.tensor([[1.0, 0]]), torch.zeros(0, 2), torch.tensor([0]))
        features = torch.tensor([[1.0, 0]]).repeat(count, 1)
        chosen = select(features, clicks, torch.rand(count, 3), torch.ones(count))
        assert chosen.mask.all() and np.isfinite(chosen.threshold)
