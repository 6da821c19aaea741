"""Which images are test views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scene.datasets import ReadOptions
from scene.datasets.split import split_cameras, split_parts
from scene.scene_info import CameraInfo, DatasetError

NAMES = ["b/2.jpg", "a/10.jpg", "a/9.jpg", "c.jpg", "a/1.jpg"]


def cameras():
    """One camera per name; nothing but the name matters here."""
    return [CameraInfo(name, Path(name), np.eye(4), 1, 1, 1, 1, 2, 2) for name in NAMES]


def names(part):
    """Image names of some cameras."""
    return [camera.image_name for camera in part]


def test_everything_is_trained_on_without_eval():
    train, test = split_cameras(cameras(), ReadOptions())
    assert names(train) == sorted(NAMES) and test == ()


@pytest.mark.parametrize("hold", [1, 2, 3, 8])
def test_every_nth_by_name(hold):
    train, test = split_cameras(cameras(), ReadOptions(eval=True, llffhold=hold))
    assert names(test) == sorted(NAMES)[::hold]
    assert sorted(names(train) + names(test)) == sorted(NAMES)


def test_the_first_test_view_may_come_later():
    """Feature 3DGS and Label-3DGS hold out index 2, 10, 18 ... of the sorted names."""
    _, test = split_cameras(cameras(), ReadOptions(eval=True, llffhold=8, test_offset=2))
    assert names(test) == sorted(NAMES)[2::8] == ["a/9.jpg"]
    for offset in (-1, 8):
        with pytest.raises(DatasetError, match=f"--test_offset is {offset}; expected 0 to 7 with --llffhold 8"):
            split_cameras(cameras(), ReadOptions(eval=True, llffhold=8, test_offset=offset))


def test_list_with_and_without_extensions(tmp_path):
    (tmp_path / "test.txt").write_text("# held out\na/10.jpg\n\nc\n")
    for options in (ReadOptions(test_list=str(tmp_path / "test.txt")), ReadOptions(eval=True, llffhold=0)):
        train, test = split_cameras(cameras(), options, tmp_path / "test.txt")
        assert names(test) == ["a/10.jpg", "c.jpg"] and len(train) == 3


def test_list_with_unknown_names_or_no_list(tmp_path):
    (tmp_path / "test.txt").write_text("a/10.jpg\nnobody.jpg\n")
    with pytest.raises(DatasetError, match=r"1 of 2 names .* \(nobody.jpg\)"):
        split_cameras(cameras(), ReadOptions(test_list=str(tmp_path / "test.txt")))
    with pytest.raises(DatasetError, match="no such file"):
        split_cameras(cameras(), ReadOptions(test_list=str(tmp_path / "gone.txt")))
    with pytest.raises(DatasetError, match=r"--llffhold 0 needs .*gone.txt"):
        split_cameras(cameras(), ReadOptions(eval=True, llffhold=0), tmp_path / "gone.txt")


def test_parts_of_a_format_that_has_test_views(tmp_path):
    every = tuple(cameras())
    train, held_out = every[:3], every[3:]
    assert split_parts(train, held_out, ReadOptions(eval=True)) == (train, held_out)
    assert split_parts(train, held_out, ReadOptions()) == (every, ())
    (tmp_path / "list.txt").write_text("a/10\n")
    kept, listed = split_parts(train, held_out, ReadOptions(eval=True, test_list=str(tmp_path / "list.txt")))
    assert (names(kept), names(listed)) == (["b/2.jpg", "a/9.jpg", "c.jpg", "a/1.jpg"], ["a/10.jpg"])
