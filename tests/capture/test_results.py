"""Parts appear whole, and nothing of somebody else is replaced."""

from __future__ import annotations

import pytest

from capture.results import MARKER, ResultFolder
from utils.errors import UserError
from utils.files import read_json


def make_part(results: ResultFolder, name: str, text: str) -> None:
    with results.staging() as staging:
        (staging / name).mkdir()
        (staging / name / "file").write_text(text)
        results.place(staging / name, name)


def test_a_part_is_replaced_only_when_asked(tmp_path):
    make_part(ResultFolder(tmp_path, False), "images", "one")
    with pytest.raises(UserError, match="add --overwrite to replace it, or turn back"):
        ResultFolder(tmp_path, False).check_free(["images"], "turn back")
    make_part(ResultFolder(tmp_path, True), "images", "two")
    assert (tmp_path / "images/file").read_text() == "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARKER, "images"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_somebody_else_made_is_never_replaced(tmp_path, overwrite):
    (tmp_path / "images").mkdir()
    results = ResultFolder(tmp_path, overwrite)
    results.check_free(["images"])  # an empty folder is nothing
    (tmp_path / "images/mine.png").touch()
    with pytest.raises(UserError, match="was not made by convert.py; move it away"):
        results.check_free(["sparse", "images"])
    with pytest.raises(UserError, match="was not made"):
        make_part(results, "images", "other")
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["mine.png"]


def test_an_interrupted_conversion_leaves_what_was_finished(tmp_path):
    results = ResultFolder(tmp_path / "new", False)
    make_part(results, "distorted", "done")
    with pytest.raises(KeyboardInterrupt), results.staging() as staging:
        (staging / "images").mkdir()
        raise KeyboardInterrupt
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [MARKER, "distorted"]
    record = read_json(tmp_path / "new" / MARKER)
    assert record == {"complete": False, "parts": ["distorted"]}
    results.finish({"photos": 3})
    assert read_json(tmp_path / "new" / MARKER) == {"complete": True, "parts": ["distorted"], "photos": 3}


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        ResultFolder(tmp_path / "file", True)
