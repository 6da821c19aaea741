"""How every benchmark records its figures: `benchmarks/results/NAME.json`, with machine, command and commit."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured number; `figure` is its dotted name."""

    figure: str
    value: float
    unit: str


def write_results(name: str, figures: list[Figure]) -> Path:
    """Write `results/NAME.json` and return its path."""
    context = {"machine": machine(), "command": command(), "commit": commit()}
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([asdict(figure) | context for figure in figures], indent=1) + "\n")
    return path


def machine() -> str:
    """GPU (if any), processor and cores, in words."""
    cpu = _cpu_name()
    cores = f"{cpu}, {len(os.sched_getaffinity(0))} cores, torch {torch.__version__}"
    return f"{torch.cuda.get_device_name(0)}; {cores}" if torch.cuda.is_available() else cores


def command() -> str:
    """The command line, relative to the project."""
    return shlex.join(["python", os.path.relpath(sys.argv[0], RESULTS.parents[1]), *sys.argv[1:]])


def commit() -> str:
    """Short hash of the checked-out commit, with a plus sign when the tree differs from it.

    A copy without git can name its commit in the variable BENCHMARK_COMMIT.
    """
    if named := os.environ.get("BENCHMARK_COMMIT"):
        return named
    try:
        run = ["git", "-C", str(RESULTS.parents[1])]
        head = subprocess.run([*run, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run([*run, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"
