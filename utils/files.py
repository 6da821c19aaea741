"""Files that are never half written, and readers that say in one line what is wrong with a file."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from utils.errors import UserError

STALE_TEMP_SEC = 3600.0


def _usual_mode() -> int:
    """Permissions that `open` gives a new file."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


USUAL_MODE = _usual_mode()  # asked once: the mask cannot be read without changing it


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success it replaces `path`, on failure it is removed.

    Missing folders are made. The temporary name keeps the suffix, so that writers which look at it work.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale_temps(path)
    temp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        yield temp
        os.chmod(temp, USUAL_MODE)  # some writers make private files
        os.replace(temp, path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise


def _remove_stale_temps(path: Path) -> None:
    """Remove what killed processes left behind; a file touched within the last hour may still be in work."""
    prefix = f".{path.name}."
    for entry in os.scandir(path.parent):
        if entry.name.startswith(prefix) and ".tmp" in entry.name[len(prefix) :]:
            stale = Path(entry.path)
            try:
                if time.time() - stale.stat().st_mtime > STALE_TEMP_SEC:
                    stale.unlink()
            except FileNotFoundError:
                continue


def to_plain(value: Any) -> Any:
    """Turn dataclasses, paths, arrays and tensors into JSON values; numbers that are not finite become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    return value


def write_json(path: str | os.PathLike, obj: Any) -> None:
    """Write `obj` as indented JSON, atomically (see `to_plain` for what is accepted)."""
    text = json.dumps(to_plain(obj), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temp:
        temp.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file; a truncated or invalid one is a one-line `UserError`."""
    data = Path(path).read_bytes()
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = "the file is empty" if not data.strip() else str(error)
        raise UserError(f"{path} is not valid JSON ({reason}); restore or regenerate it") from None


def append_jsonl(path: str | os.PathLike, obj: Any) -> None:
    """Append one JSON line; the cut-off line that a killed process may have left at the end is dropped first."""
    path = Path(path)
    line = json.dumps(to_plain(obj), ensure_ascii=False, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        _drop_partial_line(file)
        file.write(line.encode("utf-8"))


def _drop_partial_line(file) -> None:
    """Truncate an append-mode binary file after its last newline."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)


def read_jsonl(path: str | os.PathLike) -> list[Any]:
    """Read a JSON-lines file, without a cut-off last line; any other broken line is a one-line `UserError`."""
    lines = Path(path).read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise UserError(f"{path} line {number} is not valid JSON ({error}); remove that line") from None
    return records


def save_torch(path: str | os.PathLike, obj: Any) -> None:
    """`torch.save`, atomically. Keep to tensors and plain Python values: `load_torch` accepts nothing else."""
    import torch

    with atomic_path(path) as temp:
        torch.save(obj, temp)


def load_torch(path: str | os.PathLike, mmap: bool = False) -> Any:
    """Load tensors and plain values to the CPU, executing nothing from the file; with `mmap`, read when used.

    Raises:
        UserError: the file is truncated, no torch file, or holds pickled Python objects.
        OSError: the file cannot be opened.
    """
    import torch

    with open(path, "rb") as file:
        try:
            with warnings.catch_warnings():  # about pickle protocols of foreign files
                warnings.simplefilter("ignore")
                return torch.load(path if mmap else file, map_location="cpu", weights_only=True, mmap=mmap)
        # A damaged pickle can raise nearly anything; whatever it is, the file is what is wrong.
        except Exception as error:
            raise UserError(f"{path} cannot be loaded: {_torch_load_reason(error)}") from error


def _torch_load_reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "Weights only load failed" in text:
        return "it holds pickled Python objects, which could run code and are refused; expected plain tensors"
    if not text:
        text = type(error).__name__
    return f"it is truncated or not a torch file ({text[:100]}); use another copy or an earlier checkpoint"
