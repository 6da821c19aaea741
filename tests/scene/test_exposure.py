"""scene/exposure.py"""

import json

import pytest
import torch

from scene.exposure import FILE_NAME, Exposures, exposed, identity
from utils.errors import UserError

COLOR, OPAQUE = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0)), torch.ones(1, 5, 7)
MATRIX = torch.tensor([[1.1, 0.2, 0.0, 0.05], [0.0, 0.9, 0.1, -0.02], [0.3, 0.0, 1.2, 0.01]])


def test_a_row_of_colours_is_multiplied_from_the_left():
    """graphdeco: out = color_row E[:, :3] + E[:, 3]."""
    rows = COLOR.flatten(1).T @ MATRIX[:, :3] + MATRIX[:, 3]
    torch.testing.assert_close(exposed(COLOR, OPAQUE, MATRIX), rows.T.reshape(3, 5, 7))


def test_identity_changes_nothing():
    alpha = torch.rand(1, 5, 7)
    torch.testing.assert_close(exposed(COLOR, alpha, identity(), torch.ones(3)), COLOR)


def test_the_background_is_not_exposed():
    nothing, background = torch.zeros(1, 5, 7), torch.tensor([0.2, 0.7, 1.0])
    color = background[:, None, None].expand(3, 5, 7)
    torch.testing.assert_close(exposed(color, nothing, MATRIX, background), color)


def test_what_is_saved_is_read_and_unknown_names_have_none(tmp_path):
    Exposures({"train/r_0.png": MATRIX, "test/r_0.png": identity()}).save(tmp_path)
    found = Exposures.load(tmp_path)
    assert torch.equal(found.of("train/r_0.png"), MATRIX) and torch.equal(found.of("test/r_0.png"), identity())
    assert found.of("r_0.png") is None
    assert Exposures.load(tmp_path / "nowhere").by_name == {}


def test_the_file_is_graphdecos(tmp_path):
    """{image name: 3x4 nested list}"""
    Exposures({"a.jpg": identity()}).save(tmp_path)
    content = json.loads((tmp_path / FILE_NAME).read_text())
    assert content == {"a.jpg": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}


@pytest.mark.parametrize("content", ["[1, 2]", '{"a": [[1, 2], [3, 4]]}', '{"a": "x"}', '{"a": [[1, 2], [3]]}', "3"])
def test_another_file_is_one_line(tmp_path, content):
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(UserError, match="expected a 3x4 matrix") as caught:
        Exposures.load(tmp_path)
    assert "\n" not in str(caught.value)
