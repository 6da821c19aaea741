"""Clicks and thresholds of DGD."""

import numpy as np
import pytest
import torch

from gaussian_renderer.dgd_selection import (
    PALETTE,
    choose,
    cosines,
    marked,
    read_points,
    thetas_for,
    window_query,
)
from scene.prompts import Surface
from tests.blobs import blob_labels, blob_model
from utils.errors import UserError
from utils.spherical_harmonics import sh_to_rgb


def surface(features):
    size = features.shape[1:]
    return Surface(features, torch.ones(1, *size), torch.ones(1, *size), torch.zeros(size, dtype=torch.int32))


def test_points_are_read_as_dgds_users_write_them():
    texts = ["(270,370)", "(200, 450)", " 3,4 ", "[5,6]"]
    assert read_points(texts) == [(270, 370), (200, 450), (3, 4), (5, 6)]


@pytest.mark.parametrize("text", ["(1,2,3)", "(1.5,2)", "12", "", "(a,b)", "(True,1)", "print('x')", "((", "(" * 9999])
def test_other_texts_are_refused_and_not_executed(text, capsys):
    with pytest.raises(UserError, match=r'expected "\(X,Y\)" in whole pixels'):
        read_points([text])
    assert capsys.readouterr().out == ""


def test_a_query_is_the_mean_of_a_window_around_the_click():
    columns = torch.arange(12.0).expand(9, 12)
    rows = torch.arange(9.0)[:, None].expand(9, 12)
    shown = surface(torch.stack([columns, rows]))
    assert window_query(shown, (6, 4)).tolist() == [6, 4], "x is the column"
    assert window_query(shown, (6, 3), is_corner=True).tolist() == [8, 5], "right of and below the point"
    assert window_query(shown, (0, 0)).tolist() == [1, 1], "cut off at the edge"
    assert window_query(shown, (11, 8), is_corner=True).tolist() == [11, 8]


@pytest.mark.parametrize("point", [(12, 0), (0, 9), (-1, 0)])
def test_points_outside_are_named(point):
    with pytest.raises(UserError, match=f"point {point[0]} {point[1]} is outside the image"):
        window_query(surface(torch.ones(2, 9, 12)), point)


def test_cosines_do_not_depend_on_lengths_and_change_nothing():
    rows, queries = torch.tensor([[3.0, 0.0], [0.0, 0.1], [0.0, 0.0]]), torch.tensor([[5.0, 5.0]])
    before = rows.clone()
    torch.testing.assert_close(cosines(rows, queries)[:, 0], torch.tensor([0.5**0.5, 0.5**0.5, 0.0]))
    assert torch.equal(rows, before)


SCORES = torch.tensor([[0.9, 0.2], [0.8, 0.85], [0.6, 0.9], [0.1, 0.3]])
QUERIES = torch.eye(2)


def test_later_objects_overwrite_earlier_ones():
    chosen = choose(SCORES, QUERIES, torch.tensor([0.8, 0.85]), exclusive=False)
    assert chosen.numbers.tolist() == [1, 2, 2, 0] and chosen.mask.tolist() == [True, True, True, False]
    thresholds = torch.tensor([0.5, 0.5])
    assert choose(SCORES.flip(1), QUERIES, thresholds, exclusive=False).numbers.tolist() == [2, 2, 2, 0]


def test_of_several_words_the_nearest_wins():
    assert choose(SCORES.flip(1), QUERIES, torch.tensor([0.5, 0.5]), exclusive=True).numbers.tolist() == [2, 1, 1, 0]


def test_thresholds_are_one_each_or_one_for_all_or_found():
    assert thetas_for((0.5,), SCORES, None).tolist() == [0.5, 0.5]
    assert thetas_for((0.5, 0.75), SCORES, None).tolist() == [0.5, 0.75]
    with pytest.raises(UserError, match="--thetas has 3 numbers for 2 objects"):
        thetas_for((0.5, 0.6, 0.7), SCORES, None)
    apart = torch.cat([torch.full((30, 1), 0.95), torch.full((90, 1), 0.2)])
    assert 0.2 < float(thetas_for((), apart, torch.ones(120))) < 0.95


def test_more_than_seven_objects_begin_the_colours_again():
    model = blob_model(per_blob=3)
    numbers = torch.arange(1, 10)
    scores = torch.eye(9)
    chosen = choose(scores, torch.eye(9), torch.full((9,), 0.5), exclusive=False)
    assert torch.equal(chosen.numbers, numbers)
    colors = sh_to_rgb(marked(model, chosen, "recolor").params["f_dc"][:, 0])
    expected = torch.tensor([*PALETTE, *PALETTE[:2]]).float()
    torch.testing.assert_close(colors.detach(), expected)


def test_recoloured_gaussians_look_the_same_from_everywhere():
    still = blob_model(per_blob=2)
    model = type(still)(still.params | {"f_rest": torch.rand(6, 15, 3)})
    scores = (blob_labels(2) == 1).float()[:, None]
    painted = marked(model, choose(scores, torch.ones(1, 4), torch.tensor([0.5]), exclusive=False), "recolor")
    assert not painted.params["f_rest"][2:4].any(), "DGD's had a constant in every direction"
    assert torch.equal(painted.params["f_rest"][[0, 1, 4, 5]], model.params["f_rest"][[0, 1, 4, 5]])


def test_what_is_chosen_can_be_read_back(tmp_path):
    choose(SCORES, QUERIES, torch.tensor([0.8, 0.85]), exclusive=False).save(tmp_path / "selection.npz")
    kept = np.load(tmp_path / "selection.npz")
    assert kept["indices"].tolist() == [0, 1, 2] and kept["objects"].tolist() == [0, 1, 1]
    assert (kept["scores"] == SCORES.numpy()).all() and kept["theta"] == pytest.approx([0.8, 0.85])
