"""Programs of Node packages are found where the environment says, and their failures are one line."""

from __future__ import annotations

import sys

import pytest

from utils import node_tools
from utils.errors import UserError
from utils.node_tools import FOLDER_VARIABLE, find_program, run_program

FAILING = r"""
import sys
print('working')
sys.stderr.write('Error: no  such\nstack\n')
sys.exit(3)
"""


def fake_program(folder, text):
    """A program that npm could have installed."""
    path = folder / "node_modules" / ".bin" / "tool"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_named_folder_comes_first(tmp_path, monkeypatch):
    path = fake_program(tmp_path, "pass")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert find_program("tool", "@some/tool") == [str(path)]
    run_program([str(path), "x"], "a.sog")


def test_nothing_is_found_without_node(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("tool", "@some/tool") is None


def test_failures_are_one_line(tmp_path, monkeypatch):
    path = fake_program(tmp_path, FAILING)
    with pytest.raises(UserError, match=r"a.sog: tool failed \(Error: no such\); check the file"):
        run_program([str(path)], "a.sog")
    monkeypatch.setattr(node_tools, "TIME_LIMIT_SEC", 0.2)
    fake_program(tmp_path, "import time; time.sleep(20)")
    with pytest.raises(UserError, match="took more than 0.2 s"):
        run_program([str(path)], "a.sog")
    with pytest.raises(UserError, match="does not start"):
        run_program([str(tmp_path / "none")], "a.sog")
