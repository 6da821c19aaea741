"""From queries or scores to a mask of Gaussians: each step as a property, then the whole on made-up clusters."""

import numpy as np
import pytest
import torch

from scene.prompts import Prompt
from scene.selection import Cloud, automatic_threshold, disjoint, nearest_cosine, select, select_scored


def test_cosine_with_the_nearest_query():
    features = torch.tensor([[2.0, 0], [0, 3.0], [1, 1], [0, 0]])
    one = nearest_cosine(features, torch.tensor([[5.0, 0]]))
    torch.testing.assert_close(one, torch.tensor([1.0, 0, 2**-0.5, 0]))
    both = nearest_cosine(features, torch.eye(2))
    torch.testing.assert_close(both, torch.tensor([1.0, 1, 2**-0.5, 0]))
    assert nearest_cosine(features, torch.zeros(0, 2)).tolist() == [-1.0] * 4


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
    prompt = Prompt(torch.tensor([[1.0, 0, 0]]), torch.tensor(negative).reshape(-1, 3), torch.tensor([5]))
    return (
        select(features, prompt, Cloud.of(means, torch.ones(900)), threshold, connected)
        .mask.reshape(3, 300)
        .float()
        .mean(1)
    )


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
    means = torch.arange(300)[:, None] * torch.tensor([[1.0, 0, 0]])
    features = torch.tensor([[1.0, 0]]).repeat(300, 1)
    features[30:32] = torch.tensor([0.0, 1])
    for negative, expected in ((torch.zeros(0, 2), 300), (torch.tensor([[0.0, 1]]), 298)):
        prompt = Prompt(torch.tensor([[1.0, 0]]), negative, torch.tensor([5]))
        chosen = select(features, prompt, Cloud.of(means, torch.ones(300)), threshold=0.6, connected=False)
        assert chosen.mask.sum() == expected and bool(chosen.mask[30]) == (expected == 300)


def test_few_gaussians_are_no_special_case():
    for count in (1, 2, 3):
        prompt = Prompt(torch.tensor([[1.0, 0]]), torch.zeros(0, 2), torch.tensor([0]))
        features = torch.tensor([[1.0, 0]]).repeat(count, 1)
        chosen = select(features, prompt, Cloud.of(torch.rand(count, 3), torch.ones(count)))
        assert chosen.mask.all() and np.isfinite(chosen.threshold)


def test_scores_select_without_queries():
    means, _ = clusters()
    scores = torch.tensor([0.9, 0.2, 0.8]).repeat_interleave(300) + 0.02 * torch.randn(900)
    cloud = Cloud.of(means, torch.ones(900))
    share = select_scored(scores, cloud).mask.reshape(3, 300).float().mean(1)
    assert share[0] > 0.97 and share[1] < 0.03
    relevance = torch.tensor([0.7, 0.7, 0.3]).repeat_interleave(300)
    share = select_scored(scores, cloud, 0.5, relevance).mask.reshape(3, 300).float().mean(1)
    assert share[0] > 0.97 and share[1] < 0.03 and share[2] == 0, "something else is more relevant there"
    assert not select_scored(scores, cloud, relevance=torch.zeros(900)).mask.any()


def test_what_is_opposed_does_not_pull_the_automatic_threshold_down():
    """Ball 1 is opposed; ball 2 must not join ball 0 because the gap below it is larger."""
    means, _ = clusters()
    features = torch.eye(3).repeat_interleave(300, 0) + 0.05 * torch.randn(900, 3)
    prompt = Prompt(torch.eye(3)[:1], torch.eye(3)[1:2], torch.tensor([5]))
    share = select(features, prompt, Cloud.of(means, torch.ones(900)), connected=False).mask.reshape(3, 300)
    assert share[0].float().mean() > 0.97 and share[1:].float().mean() < 0.03


def test_what_cannot_be_meant_is_left_out():
    means, features = clusters()
    prompt = Prompt(torch.tensor([[1.0, 0, 0]]), torch.zeros(0, 3), torch.tensor([5]), torch.arange(900) >= 600)
    share = select(features, prompt, Cloud.of(means, torch.ones(900)), connected=False).mask.reshape(3, 300)
    assert share[0].float().mean() > 0.97 and not share[2].any()


def test_disjoint_selections_go_to_the_higher_score():
    cloud = Cloud.of(torch.rand(4, 3), torch.ones(4))
    scores = torch.tensor([[0.9, 0.6, 0.9, 0.1], [0.6, 0.9, 0.1, 0.2]])
    chosen = disjoint([select_scored(row, Cloud(cloud.weight, np.zeros((4, 0), int)), 0.5) for row in scores])
    assert [each.mask.tolist() for each in chosen] == [[True, False, True, False], [False, True, False, False]]
