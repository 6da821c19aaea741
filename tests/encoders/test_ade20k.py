"""The label set of ADE20K and lists of words from users."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from encoders.ade20k import ADE20K_PROMPTS, read_label_set
from utils.errors import UserError


def test_the_words_are_those_of_the_published_figures() -> None:
    assert len(ADE20K_PROMPTS) == 150
    assert ADE20K_PROMPTS[0] == "wall" and ADE20K_PROMPTS[-1] == "flag"
    ids = {name: number for number, name in enumerate(ADE20K_PROMPTS, start=1)}
    # Pairs that Feature 3DGS's evaluation joins, by number.
    assert [ids[name] for name in ("television", "door", "rug", "floor", "pillow", "cushion")] == [
        90,
        15,
        29,
        4,
        58,
        40,
    ]
    assert [n for n, name in enumerate(ADE20K_PROMPTS, start=1) if name == "screen"] == [59, 131]


@pytest.mark.parametrize("text", ["", "default", "ADE20K"])
def test_nothing_means_ade20k(text: str) -> None:
    assert read_label_set(text) == ADE20K_PROMPTS


def test_words_come_from_the_command_line_or_a_file(tmp_path: Path) -> None:
    expected = ("car", "palm tree", "other")
    assert read_label_set("car, palm tree,other") == expected
    (tmp_path / "words.txt").write_text("car\npalm tree\nother\n", encoding="utf-8")
    (tmp_path / "words.json").write_text(json.dumps(expected), encoding="utf-8")
    assert read_label_set(str(tmp_path / "words.txt")) == expected
    assert read_label_set(str(tmp_path / "words.json")) == expected


@pytest.mark.parametrize("text", [",", "car,,tree", "car,car", " , "])
def test_empty_and_repeated_words_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="different words"):
        read_label_set(text)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    for content in ("{}", "[1]", "["):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(UserError):
            read_label_set(str(path))
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(UserError, match="empty"):
        read_label_set(str(tmp_path / "empty.txt"))
