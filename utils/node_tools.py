"""Programs of Node.js packages: where they are, and running them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from utils.errors import UserError

FOLDER_VARIABLE = "SPLAT_DISTILL_NODE"
"""Environment variable: a folder in which `npm install` was run, which is looked at first."""
TIME_LIMIT_SEC = 900.0
_FIND_LIMIT_SEC = 20.0


def node_folder() -> Path | None:
    """The folder of packages that the environment names."""
    name = os.environ.get(FOLDER_VARIABLE, "")
    return Path(name) if name else None


def find_program(program: str, package: str) -> list[str] | None:
    """The first words of a command that runs a program, or None: nothing is installed and no network is used.

    Looked for in the folder of `SPLAT_DISTILL_NODE`, on PATH, and with npx among what npm has installed.
    """
    folder = node_folder()
    own = folder / "node_modules" / ".bin" / program if folder else None
    if own is not None and own.is_file():
        return [str(own)]
    if found := shutil.which(program):
        return [found]
    npx = shutil.which("npx")
    if npx is None:
        return None
    command = [npx, "--offline", "--no-install", package]
    return command if _answers([*command, "--version"]) else None


def run_program(command: Sequence[str], what: str) -> None:
    """Run a command of `find_program` without showing what it prints.

    Raises:
        UserError: it failed or took too long; the message has the first line that names an error.
    """
    try:
        done = subprocess.run(
            list(command), capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT_SEC, check=False
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{what}: {Path(command[0]).name} took more than {TIME_LIMIT_SEC:g} s; try less") from None
    except OSError as error:
        raise UserError(f"{what}: {command[0]} does not start ({error.strerror}); install it again") from None
    if done.returncode:
        raise UserError(
            f"{what}: {Path(command[0]).name} failed ({_reason(done.stdout + done.stderr)}); check the file"
        )


def _answers(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(list(command), capture_output=True, timeout=_FIND_LIMIT_SEC, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _reason(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    named = [line for line in lines if "error" in line.lower()]
    return (named or lines or ["no message"])[0][:160]
