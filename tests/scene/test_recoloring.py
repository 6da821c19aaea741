"""Colour changes act as they say, on what is seen; texts that could do more are refused and never run."""

import pytest
import torch

from scene.recoloring import MAX_TEXT, grey_mix, hue_rotation, parse_recolor
from utils.errors import UserError
from utils.spherical_harmonics import rgb_to_sh, sh_to_rgb


def coefficients(seed=0):
    return 0.3 * torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(seed))


def seen(sh, basis):
    """Colours [M, 3] from a direction whose spherical harmonics are `basis` [K]."""
    return torch.einsum("mkc,k->mc", sh, basis) + 0.5


BASIS = torch.tensor([0.28209479, 0.3, -0.2, 0.35])
LUMA = torch.tensor([0.299, 0.587, 0.114])


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("swap_rgb", lambda rgb: rgb[:, [2, 1, 0]]),
        ("grayscale", lambda rgb: (rgb @ LUMA)[:, None].expand(-1, 3)),
        ("hue_shift", lambda rgb: rgb[:, [2, 0, 1]]),
        ("hue_shift(-120)", lambda rgb: rgb[:, [1, 2, 0]]),
        ("hue_shift( 360 )", lambda rgb: rgb),
    ],
)
def test_named_changes_hold_for_the_colour_seen_from_any_direction(text, change):
    sh = coefficients()
    torch.testing.assert_close(seen(parse_recolor(text)(sh), BASIS), change(seen(sh, BASIS)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("matrix", [grey_mix(), hue_rotation(37.0)])
def test_mixing_matrices_keep_greys(matrix):
    torch.testing.assert_close(matrix.sum(1), torch.ones(3))


def test_a_hue_shift_keeps_the_distance_from_grey():
    turn = hue_rotation(77.0)
    torch.testing.assert_close(turn @ turn.T, torch.eye(3), atol=1e-6, rtol=0)
    assert torch.linalg.det(turn) > 0


def test_three_numbers_paint_evenly():
    painted = parse_recolor([1, 0.5, 0])(coefficients())
    torch.testing.assert_close(sh_to_rgb(painted[:, 0]), torch.tensor([1.0, 0.5, 0.0]).expand(5, 3))
    assert not painted[:, 1:].any()


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("lambda color: color[:, [2, 1, 0]]", lambda dc: dc[:, [2, 1, 0]]),
        ("lambda c: c[:,(2,1,0)]", lambda dc: dc[:, [2, 1, 0]]),
        ("lambda color: color[:, ::-1] * 0.5 + 1", lambda dc: dc.flip(1) * 0.5 + 1),
        ("lambda color: -color / 2 - 1e-1", lambda dc: -dc / 2 - 0.1),
        ("lambda x: x[:, [0]] + 0 * x", lambda dc: dc[:, :1].expand(-1, 3)),
        ("lambda color: color[:, [-1, 0, 1]]", lambda dc: dc[:, [2, 0, 1]]),
    ],
)
def test_an_old_lambda_acts_on_the_constant_coefficient_only(text, change):
    sh = coefficients()
    result = parse_recolor(text)(sh)
    torch.testing.assert_close(result[:, 0], change(sh[:, 0]))
    assert torch.equal(result[:, 1:], sh[:, 1:])


def test_a_lambda_differs_from_the_named_change_where_colours_depend_on_the_view():
    sh = coefficients()
    old, new = parse_recolor("lambda color: color[:, [2, 1, 0]]")(sh), parse_recolor("swap_rgb")(sh)
    assert torch.equal(old[:, 0], new[:, 0]) and not torch.allclose(old[:, 1:], new[:, 1:])


@pytest.mark.parametrize(
    "text",
    [
        "lambda color: __import__('os').system('touch {mark}')",
        "lambda color: open('{mark}', 'w')",
        "lambda color: color.__class__.__bases__",
        "lambda color: color.zero_()",
        "lambda color: [color for _ in range(9)][0]",
        "lambda color: (lambda x: x)(color)",
        "lambda color: color if True else color",
        "lambda color: color ** 9 ** 9 ** 9",
        "lambda color: color @ color",
        "lambda color: other",
        "lambda color: color[0]",
        "lambda color: color[:1, [0, 1, 2]]",
        "lambda color: color[:, [5, 0, 1]]",
        "lambda color: color[:, [0.5, 0, 1]]",
        "lambda color: color[:, ::0]",
        "lambda color: color[:, [0, 1]]",
        "lambda color: color[:, []]",
        "lambda color: color[:, [True, False, True]]",
        "lambda color: color / 0",
        "lambda color: 1 / 0",
        "lambda color: 1e300 * color",
        "lambda color: 0.5",
        "lambda color: True * color",
        "lambda: 1",
        "lambda color, other: color",
        "lambda color=print('{mark}'): color",
        "lambda *color: color",
        "lambda color: color; import os",
        "lambda color: " + "(" * 300 + "color" + ")" * 300,
        "lambda color: " + "-" * MAX_TEXT + "color",
        "color[:, [2, 1, 0]]",
        "hue_shift(1.2.3)",
        "swap_rgb(3)",
        "sepia",
        "",
        None,
        7,
        [1, 2],
        [0, 0, 300],
        [0, 0, float("nan")],
        [0, 0, True],
    ],
)
def test_everything_else_is_one_line_and_is_not_run(text, tmp_path):
    mark = tmp_path / "ran"
    text = text.replace("{mark}", str(mark)) if isinstance(text, str) else text
    with pytest.raises(UserError, match="colorFunc") as caught:
        parse_recolor(text)(coefficients())
    assert "\n" not in str(caught.value) and not mark.exists()


def test_colours_that_are_no_numbers_are_refused_when_they_come_up():
    recolor = parse_recolor("lambda color: 1 / color")
    with pytest.raises(UserError, match="no finite colours"):
        recolor(torch.zeros(2, 1, 3))
    assert torch.isfinite(recolor(torch.full((2, 1, 3), rgb_to_sh(0.9)))).all()
