"""The documentation tells the truth about flags."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from arguments.cli import flag_names
from arguments.flag_table import SCRIPT_GROUPS, flags_markdown

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
PAGES = [page for page in PAGES if page.is_file()]
OTHER_PROGRAMS = re.compile(
    r"\b(pip|torchrun|ruff|pytest|git|make|colmap|nvcc|nvidia-smi|compute-sanitizer|docker|uv)\b"
)
PLACEHOLDERS = {"--flag", "--no_flag", "--no-flag", "--help"}


def flags_in(text: str) -> set[str]:
    """Long flags in a text, without lines that call other programs."""
    lines = (line for line in text.splitlines() if not OTHER_PROGRAMS.search(line))
    return {flag for line in lines for flag in re.findall(r"(?<![\w-])--[A-Za-z][\w-]*", line)} - PLACEHOLDERS


def flags_of_other_scripts() -> set[str]:
    """Fields of dataclasses, and literal flags, in the folders that have command lines of their own."""
    flags = set()
    for folder in ("encoders", "examples", "benchmarks", "submodules/ndraster"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    flags.add(f"--{node.target.id}")
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("--"):
                    flags.add(node.value)
    return flags


def known_flags() -> set[str]:
    groups = {group for groups in SCRIPT_GROUPS.values() for group in groups}
    return {flag for group in groups for spellings in flag_names(group).values() for flag in spellings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_flag_in_the_docs_exists(page: Path) -> None:
    known = {flag.replace("-", "_") for flag in known_flags() | flags_of_other_scripts()}
    unknown = {flag for flag in flags_in(page.read_text(encoding="utf-8")) if flag.replace("-", "_") not in known}
    assert not unknown, f"{page.name} names flags that no script has: {sorted(unknown)}"


def test_the_flag_table_is_up_to_date() -> None:
    table = (ROOT / "docs" / "flags.md").read_text(encoding="utf-8")
    assert table == flags_markdown(), "run: python -m arguments > docs/flags.md"


def test_every_flag_has_a_text() -> None:
    assert "--iterations" in known_flags()
    assert flags_in("python train.py --nonsense 3\npip install --upgrade x") == {"--nonsense"}
