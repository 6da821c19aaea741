"""Arrays of `.npz` files from anyone: nothing is executed, and no small file makes large arrays."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.files import atomic_path

MAX_RATIO = 100
"""Bytes of arrays per byte of file, at most; numbers that mean something take far more room."""
SLACK_BYTES = 1 << 20  # small files may well be full of zeros
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGE = (OSError, ValueError, EOFError, MemoryError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)

Header = tuple[tuple[int, ...], np.dtype]


def write_npz(path: Path | str, arrays: dict[str, np.ndarray], compress: bool) -> None:
    """Write named arrays, whole or not at all."""
    save = np.savez_compressed if compress else np.savez
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        save(file, **arrays)


def read_npz(path: Path | str) -> dict[str, np.ndarray]:
    """All arrays by name.

    Raises:
        UserError: no such file, damaged, holds Python objects, or unpacks to far more than it is.
    """
    npz_headers(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except _DAMAGE as error:
        raise _refusal(path, error) from None


def npz_headers(path: Path | str) -> dict[str, Header]:
    """Shape and kind of each array, without reading the arrays; refuses what `read_npz` does, as far as it shows."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; expected arrays as .npz; check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_size(sum(member.file_size for member in members), Path(path).stat().st_size)
            return {member.filename.removesuffix(".npy"): _header(archive, member) for member in members}
    except _DAMAGE as error:
        raise _refusal(path, error) from None


def _check_size(unpacked: int, packed: int) -> None:
    if unpacked > MAX_RATIO * packed + SLACK_BYTES:
        raise ValueError(f"{packed} bytes would unpack to {unpacked}")


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    """What the array says of itself, if the archive has as many bytes for it."""
    with archive.open(member) as stream:
        start = io.BytesIO(stream.read(1 << 16))
    version = np.lib.format.read_magic(start)
    if version not in _HEADERS:
        raise ValueError(f"{member.filename} has a header of version {version}")
    shape, _, dtype = _HEADERS[version](start)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds Python objects, which could run code")
    count = 1
    for size in shape:
        count *= size  # Python's integers do not overflow
    if start.tell() + count * dtype.itemsize != member.file_size:
        raise ValueError(f"{member.filename} says {list(shape)} but has {member.file_size} bytes")
    return shape, dtype


def _refusal(path: Path | str, error: Exception) -> UserError:
    reason = (" ".join(str(error).split()) or type(error).__name__)[:100]
    return UserError(f"{path}: not a whole .npz of plain numbers ({reason}); copy or make it again")
