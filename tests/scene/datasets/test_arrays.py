"""NumPy files of strangers."""

from __future__ import annotations

import numpy as np
import pytest

from scene.datasets.arrays import checked_array, load_array, load_arrays
from scene.scene_info import DatasetError


class Trap:
    """Would run code while a pickle is read."""

    def __reduce__(self):
        return pytest.fail, ("executed",)


def test_round_trip(tmp_path):
    np.save(tmp_path / "one.npy", np.arange(6).reshape(2, 3))
    np.savez(tmp_path / "two.npz", a=np.eye(2), b=np.float64(3))
    np.testing.assert_array_equal(load_array(tmp_path / "one.npy"), [[0, 1, 2], [3, 4, 5]])
    arrays = load_arrays(tmp_path / "two.npz")
    assert sorted(arrays) == ["a", "b"] and arrays["b"] == 3


def test_pickles_are_not_executed(tmp_path):
    trap = np.array([Trap()], dtype=object)
    np.save(tmp_path / "trap.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "trap.npz", a=trap)
    for load, name in ((load_array, "trap.npy"), (load_arrays, "trap.npz")):
        with pytest.raises(DatasetError, match="not a whole NumPy file of plain numbers"):
            load(tmp_path / name)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(("load", "name"), [(load_array, "a.npy"), (load_arrays, "a.npz")])
def test_cut_off_files(tmp_path, share, load, name):
    save = np.save if name.endswith("npy") else np.savez
    save(tmp_path / name, np.random.default_rng(0).normal(size=(40, 3)))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DatasetError, match="not a whole NumPy file") as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_other_kinds_of_file(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(2))
    np.savez(tmp_path / "a.npz", a=np.eye(2))
    with pytest.raises(DatasetError, match="several arrays"):
        load_array(tmp_path / "a.npz")
    with pytest.raises(DatasetError, match="a single array"):
        load_arrays(tmp_path / "a.npy")
    with pytest.raises(DatasetError, match="no such file"):
        load_array(tmp_path / "gone.npy")


def test_checked_shapes():
    assert checked_array([[1, 2, 3]], (None, 3), "x").dtype == np.float64
    assert checked_array(4, (), "x") == 4
    for value, shape, message in (
        (None, (3,), "x is missing; expected 3 finite numbers"),
        ([1, 2], (3,), r"x: has shape \[2\]; expected 3 finite numbers"),
        ([[1, 2]], (None, 3), r"expected nx3 finite numbers"),
        ([1, np.inf], (2,), "x: holds NaN or infinite"),
        ([[1], [1, 2]], (2, 2), "x: holds no numbers"),
    ):
        with pytest.raises(DatasetError, match=message):
            checked_array(value, shape, "x")
