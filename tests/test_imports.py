"""Imports point one way, and a few things are done in one place only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BASE = {"utils", "arguments", "ndraster"}
MAY_IMPORT = {
    "utils": set(),
    "arguments": set(),
    "submodules/ndraster/ndraster": set(),
    "scene": BASE,
    "encoders": BASE,
    "gaussian_renderer": BASE | {"scene"},
    "capture": BASE | {"scene"},
    "training": BASE | {"scene", "encoders", "gaussian_renderer"},
    "viewer": BASE | {"scene", "encoders", "gaussian_renderer"},
    "examples": BASE | {"scene", "encoders", "gaussian_renderer", "training"},
    "benchmarks": BASE | {"scene", "encoders", "gaussian_renderer", "training", "viewer", "examples"},
}
ROOMS = {Path(room).name for room in MAY_IMPORT}
COMMANDS = {"utils/make_depth_scale.py"}  # where users look for it; a script, whatever its room
SCRIPTS = {path.stem for path in ROOT.glob("*.py")}
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "pickle.load", "pickle.loads", "os.popen"}


def imported_rooms(path: Path) -> set[str]:
    """Top-level names of ours that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
            assert all(alias.name != "*" for alias in node.names), f"{path}: import *"
    return names & (ROOMS | SCRIPTS)


def called_names(path: Path) -> set[str]:
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return {ast.unparse(call.func) for call in calls}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | {Path(room).name}
    for path in (ROOT / room).rglob("*.py"):
        if path.relative_to(ROOT).as_posix() in COMMANDS:
            continue
        wrong = imported_rooms(path) - allowed
        assert not wrong, f"{path.relative_to(ROOT)} must not import {sorted(wrong)}"


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_nobody_imports_a_script(script: str) -> None:
    for path in ROOT.glob("*.py"):
        assert script not in imported_rooms(path), f"{path.name} imports the script {script}"


def test_only_progress_prints_and_nothing_is_executed_from_disk() -> None:
    for path in [*ROOT.glob("*.py"), *(path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py"))]:
        calls = called_names(path)
        assert not calls & FORBIDDEN_CALLS, f"{path.relative_to(ROOT)} calls {sorted(calls & FORBIDDEN_CALLS)}"
        # ndraster is a package of its own and cannot use utils/progress.py.
        assert "print" not in calls or "ndraster" in path.parts, f"{path.relative_to(ROOT)} prints"


def test_the_check_sees_imports_inside_functions(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def f():\n    from scene.cameras import Camera\n    import utils.files\n")
    assert imported_rooms(tmp_path / "bad.py") == {"scene", "utils"}
