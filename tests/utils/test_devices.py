"""Names of devices."""

from __future__ import annotations

import pytest

from utils.devices import choose_device, named_device
from utils.errors import UserError


def test_names_are_understood():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda")
    assert named_device("cuda:7", "data_device").index == 7  # whether it exists is not asked


@pytest.mark.parametrize("name", ["cuda9", "gpu", ""])
def test_other_names_are_one_line(name):
    with pytest.raises(UserError, match=f"--device is {name!r}; expected auto"):
        choose_device(name)


def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(UserError, match="torch sees"):
        choose_device("cuda:99")
