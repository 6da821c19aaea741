"""`python -m ndraster doctor` says what is there and what is missing; `python -m ndraster build` builds it."""

from __future__ import annotations

import argparse
import platform
import sys

import torch

from ndraster import build as builder
from ndraster.backends import BACKENDS, available_backends

_REMEDIES = {
    "C++": "install a C++20 compiler, for instance `apt-get install g++`, or point CXX at one",
    "ninja": "pip install ninja",
    "nvcc": f"install the CUDA toolkit that matches torch (CUDA {torch.version.cuda}) or point CUDA_HOME at it",
    "CUDA device": "no remedy on a machine without an NVIDIA GPU: the cpu backend serves; with one, install its driver",
}


def doctor() -> int:
    """Print tools, caches and backends; 0 when a compiled backend can run."""
    rows = [
        ("python", platform.python_version()),
        ("torch", f"{torch.__version__} (CUDA {torch.version.cuda or 'none'})"),
        ("device", torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA device"),
        ("C++ compiler", builder.compiler() or "missing"),
        ("nvcc", builder.nvcc() or "missing"),
        ("ninja", " ".join(builder.ninja()) or "missing"),
        ("cache", str(builder.cache_folder())),
    ]
    lines = [f"{name:14}{value}" for name, value in rows]
    for name in BACKENDS:
        lines.append(f"{'backend ' + name:18}{_state(name)}")
    print("\n".join(lines))
    return 0 if available_backends()[0] != "reference" else 1


def _state(name: str) -> str:
    if name == "reference":
        return "always there (slow)"
    missing = builder.missing_for(name)
    if missing:
        remedies = [cure for key, cure in _REMEDIES.items() if any(key in m for m in missing)]
        return f"missing: {'; '.join(missing)} -> {'; '.join(remedies)}"
    return "built" if builder.library_path(name).is_file() else "can be built (python -m ndraster build)"


def build_all() -> int:
    """Build every backend whose tools are present."""
    names = [name for name in available_backends() if name != "reference"]
    for name in names:
        builder.load_library(name)
        print(f"{name}: {builder.library_path(name)}")
    if not names:
        print("nothing can be built here; `python -m ndraster doctor` explains", file=sys.stderr)
    return 0 if names else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ndraster", description=__doc__)
    parser.add_argument("command", choices=["doctor", "build"])
    command = parser.parse_args().command
    try:
        return doctor() if command == "doctor" else build_all()
    except builder.BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
