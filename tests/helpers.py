"""What several tests need: the data sets of the development machine, and running a script like a user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from encoders.base import EncodedMap

ROOT = Path(__file__).resolve().parents[1]
DATA_VARIABLE = "SPLAT_DISTILL_DATA"
DEFAULT_DATA = Path("../shared/data")  # relative to the project's root


def data_path(name: str) -> Path:
    """Folder or file `name` of the development data sets; skips the test when it is not there."""
    path = (ROOT / os.environ.get(DATA_VARIABLE, str(DEFAULT_DATA)) / name).resolve()
    if not path.exists():
        pytest.skip(f"no data set {name}; set {DATA_VARIABLE} to the folder that has it")
    return path


def run_script(*words: str | Path, cwd: Path = ROOT, timeout_sec: float = 120) -> subprocess.CompletedProcess[str]:
    """Run `python <words>` in the folder `cwd`; the first word is e.g. "train.py"."""
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout_sec, check=False)


def assert_one_line_error(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """The program failed, and the last line on stderr is `error: ...` with all `parts` in it, without a traceback."""
    assert result.returncode != 0, result.stdout
    assert "Traceback" not in result.stderr, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: "), result.stderr
    for part in parts:
        assert part in last, last


def maps_of(encoded: Iterable[EncodedMap]) -> dict[str, np.ndarray]:
    """Key -> map [h, w, C] of what a teacher yields."""
    return {item.key: item.features for item in encoded}
