"""Clicks and boxes in made-up views."""

from dataclasses import replace

import pytest
import torch

from scene.prompts import (
    Surface,
    box_prompt,
    box_regions,
    click_prompt,
    click_query,
    clicked_gaussians,
    joined_prompt,
)
from utils.errors import UserError


def two_surfaces():
    """A view of two flat surfaces: left, feature 0 at depth 2, Gaussian 7; right, feature 1 at depth 4, Gaussian 9."""
    features = torch.zeros(3, 9, 12)
    features[0, :, :6], features[1, :, 6:] = 1.0, 1.0
    depth = torch.full((1, 9, 12), 2.0)
    depth[:, :, 6:] = 4.0
    ids = torch.full((9, 12), 7, dtype=torch.int32)
    ids[:, 6:] = 9
    return Surface(features, torch.ones(1, 9, 12), depth, ids)


def test_prompts_of_several_views_add_up():
    first = click_prompt(two_surfaces(), [(2, 4)], [])
    second = replace(click_prompt(two_surfaces(), [], [(9, 4)]), excluded=torch.tensor([True, False]))
    assert second.positive.shape == (0, 3) and len(second.seeds) == 0
    both = joined_prompt([first, second])
    assert both.positive.tolist() == [[1.0, 0, 0]] and both.negative.tolist() == [[0, 1.0, 0]]
    assert both.seeds.tolist() == [7] and both.excluded.tolist() == [True, False]
    assert joined_prompt([first]).excluded is None


def test_a_query_beside_an_edge_does_not_mix_what_is_behind():
    for x, expected in ((5, [1.0, 0, 0]), (6, [0, 1.0, 0])):
        torch.testing.assert_close(click_query(two_surfaces(), (x, 4)), torch.tensor(expected))


def test_x_is_the_column():
    assert click_query(two_surfaces(), (11, 2))[1] == 1.0
    with pytest.raises(UserError, match="outside the image; expected 0..11 0..8"):
        click_query(two_surfaces(), (2, 11))


def test_a_query_does_not_depend_on_alpha():
    surface = two_surfaces()
    surface.alpha[:, :, 0:4] = 0.3
    faint = replace(surface, features=surface.features * surface.alpha)
    torch.testing.assert_close(click_query(faint, (3, 4)), torch.tensor([1.0, 0, 0]))


def test_clicking_on_nothing_is_one_line():
    surface = two_surfaces()
    with pytest.raises(UserError, match="shows nothing"):
        click_query(replace(surface, alpha=surface.alpha * 0), (3, 4))
    with pytest.raises(UserError, match="box 2 2 5 5 shows nothing"):
        box_prompt(replace(surface, alpha=surface.alpha * 0), [(2, 2, 5, 5)])


def test_clicked_gaussians_are_those_of_the_clicked_surface():
    surface = two_surfaces()
    surface.ids[4, 4] = -1
    assert clicked_gaussians(surface, (5, 4)).tolist() == [7]
    assert clicked_gaussians(surface, (6, 4)).tolist() == [9]


def test_clicks_become_one_prompt():
    prompt = click_prompt(two_surfaces(), [(2, 4), (9, 4)], [(8, 4)])
    assert prompt.positive.argmax(1).tolist() == [0, 1] and prompt.negative.argmax(1).tolist() == [1]
    assert sorted(prompt.seeds.tolist()) == [7, 9]
    assert click_prompt(two_surfaces(), [(2, 4)], []).negative.shape == (0, 3)


def test_the_regions_of_a_box_are_its_pixels_and_those_around_it():
    inside, around = box_regions([(4, 2, 8, 6)], (20, 10))
    assert inside.sum() == 16 and inside[2:6, 4:8].all()
    assert around.sum() == 8 * 8 - 16 and not (inside & around).any()
    both, ring = box_regions([(4, 2, 8, 6), (8, 2, 12, 6)], (20, 10))
    assert both.sum() == 32 and not ring[2:6, 4:12].any(), "what is in one box is not around another"


@pytest.mark.parametrize("box", [(5, 2, 5, 6), (8, 2, 4, 6), (4, 6, 8, 2), (-1, 0, 4, 4), (0, 0, 21, 4), (0, 0, 4, 11)])
def test_a_box_that_is_none_is_one_line(box):
    with pytest.raises(UserError, match="is empty|leaves the image"):
        box_regions([box], (20, 10))


def thing_on_a_wall(noise=0.0):
    """A square of feature 1 (Gaussian 5) in columns and rows 10 to 19, before a wall of feature 0 (Gaussian 3)."""
    features = torch.zeros(3, 30, 30)
    features[0] = 1.0
    features[:, 10:20, 10:20] = torch.tensor([0.0, 1, 0])[:, None, None]
    features += noise * torch.randn(3, 30, 30, generator=torch.Generator().manual_seed(0))
    depth, ids = torch.full((1, 30, 30), 3.0), torch.full((30, 30), 3)
    depth[:, 10:20, 10:20], ids[10:20, 10:20] = 2.0, 5
    return Surface(features, torch.ones(1, 30, 30), depth, ids)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("box", [(10, 10, 20, 20), (7, 7, 23, 23), (8, 9, 20, 22)])
def test_a_box_means_what_ends_inside_it(box, noise):
    prompt = box_prompt(thing_on_a_wall(noise), [box])
    assert (prompt.positive.argmax(1) == 1).all() and (prompt.negative.argmax(1) == 0).all()
    assert len(prompt.positive) and prompt.seeds.tolist() == [5]


def test_a_box_in_which_nothing_ends_means_its_most_frequent_kind():
    prompt = box_prompt(thing_on_a_wall(), [(12, 12, 16, 16)])
    assert prompt.positive.argmax(1).tolist() == [1] and prompt.seeds.tolist() == [5]
    assert box_prompt(thing_on_a_wall(), [(1, 1, 6, 6)]).seeds.tolist() == [3]


def test_a_point_chooses_within_a_box():
    surface = thing_on_a_wall()
    prompt = box_prompt(surface, [(5, 5, 25, 25)], click_prompt(surface, [(7, 7)], []))
    assert prompt.positive.argmax(1).tolist() == [0] and prompt.seeds.tolist() == [3]
    assert not (prompt.negative.argmax(1) == 0).any(), "what was clicked is not opposed by the box"
    prompt = box_prompt(surface, [(5, 5, 25, 25)], click_prompt(surface, [(15, 15)], []))
    assert prompt.positive.argmax(1).tolist() == [1] and (prompt.negative.argmax(1) == 0).all()
