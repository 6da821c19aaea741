"""Programs of Node packages are found where the environment says, and their failures are one line."""

from __future__ import annotations

import sys

import pytest

from utils import node_tools
from utils.errors import UserError
from utils.node_tools import FOLDER_VARIABLE, find_program, run_program


def fake_program(folder, text):
    """A program that npm could have installed."""
    path = folder / "node_modules" / ".bin" / "tool"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_named_folder_comes_first(tmp_path, monkeypatch):
    message = r"sys.stderr.write('Error: no  such\nstack\n')"
    path = fake_program(tmp_path, f"import sys; print('working'); {message}; sys.exit(3)")
    with pytest.raises(UserError, match=r"a.sog: tool failed \(Error: no such\); check the file"):
        run_program([str(path)], "a.sog")
    monkeypatch.setattr(node_tools, "TIME_LIMIT_SEC", 0.2)
    path.write_text(f"#!{sys.executable}\nimport time; time.sleep(20)\n")
    with pytest.raises(UserError, match="took more than 0.2 s"):
        run_program([str(path)], "a.sog")
    with pytest.raises(UserError, match="does not start"):
        run_program([str(tmp_path / "none")], "a.sog")
