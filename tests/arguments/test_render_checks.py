"""Options of render.py that do not go together are refused in one line."""

import pytest

from arguments import FollowParams, OptionError, RenderParams, parse
from arguments.render_checks import check_render_options


def check(words):
    check_render_options(*parse("Render.", RenderParams, FollowParams, args=words.split()))


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--num_views 1 --fps 1 --time 0",
        "--mode view --time 1",
        "--ply_sequence",
        "--ply_sequence 7",
        "--points (1,2) (3,4) --thetas 0.5",
        "--prompt cookie --frame 3 --novel_views 2",
    ],
)
def test_good_options_pass(words):
    check(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--num_views 0", "--num_views is 0; expected at least 1"),
        ("--fps -3", "--fps is -3"),
        ("--time 1.5", "--time is 1.5; expected a moment from 0 to 1"),
        ("--time nan", "--time is nan"),
        ("--mode time --time 0.5", "--mode time lets time run"),
        ("--ply_sequence 0", "--ply_sequence is 0; expected one number from 1"),
        ("--ply_sequence 3 4", "--ply_sequence is 3 4"),
        ("--points (1,2) --prompt cookie", "--points and --prompt are two ways"),
        ("--thetas 0.5", "--thetas without objects"),
        ("--mode all --points (1,2)", "--mode all follows no objects"),
        ("--novel_views 3 --edit_config a.yaml", "--edit_config changes what is to be followed"),
    ],
)
def test_bad_ones_are_one_line(words, message):
    with pytest.raises(OptionError) as caught:
        check(words)
    assert message in str(caught.value) and "\n" not in str(caught.value)
