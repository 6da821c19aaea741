"""The header of a PLY file, checked against the size of the file before anything is allocated."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import UserError

MAX_HEADER_BYTES = 1 << 20
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class PlyElement:
    """One kind of rows."""

    name: str
    count: int
    properties: tuple[tuple[str, str], ...]
    """(name, NumPy type without byte order) of each column; of a list the type of its length."""
    has_lists: bool = False

    @property
    def least_row_bytes(self) -> int:
        """Bytes of a binary row, with empty lists."""
        return sum(np.dtype(kind).itemsize for _, kind in self.properties)


@dataclass(frozen=True)
class PlyHeader:
    """What a file says that it holds."""

    order: str
    """Byte order `<` or `>`; empty = text."""
    elements: tuple[PlyElement, ...]
    size: int
    """Bytes of the header itself."""

    def element(self, name: str) -> PlyElement | None:
        """The element of this name."""
        return next((element for element in self.elements if element.name == name), None)


def read_header(path: Path | str) -> PlyHeader:
    """The header of a file that is long enough for what it announces.

    Raises:
        UserError: no such file, no PLY, or shorter than its header says.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; expected a .ply")
    with open(path, "rb") as file:
        start = file.read(MAX_HEADER_BYTES)
    try:
        header = _parsed(start)
        _check_size(header, os.path.getsize(path))
    except ValueError as error:
        raise UserError(f"{path}: not a whole PLY file ({error}); copy or export it again") from None
    return header


def read_rows(path: Path | str, header: PlyHeader, name: str) -> np.ndarray:
    """Rows of one element of a binary file, all of whose elements are without lists, as a structured array."""
    offset = header.size
    for element in header.elements:
        if element.has_lists or not header.order:
            break
        if element.name == name:
            kind = [(column, header.order + kind) for column, kind in element.properties]
            return np.fromfile(path, kind, element.count, offset=offset)
        offset += element.count * element.least_row_bytes
    raise UserError(f"{path}: element '{name}' is text, after lists or absent; expected binary rows; export it again")


def _parsed(start: bytes) -> PlyHeader:
    lines, size = _lines(start)
    words = [line.split() for line in lines]
    order, elements = None, []
    for row in words:
        if row[0] in ("comment", "obj_info"):
            continue
        if row[0] == "format" and len(row) == 3 and row[1] in _ORDERS:
            order = _ORDERS[row[1]]
        elif row[0] == "element" and len(row) == 3 and row[2].isdecimal():
            elements.append(PlyElement(row[1], int(row[2]), ()))
        elif row[0] == "property" and elements:
            elements[-1] = _with_property(elements[-1], row[1:])
        else:
            raise ValueError(f"header line '{' '.join(row)[:40]}'")
    if order is None:
        raise ValueError("no known format line")
    return PlyHeader(order, tuple(elements), size)


def _lines(start: bytes) -> tuple[list[str], int]:
    """Lines between the first and `end_header`, and the number of bytes up to where the rows begin."""
    if not start.startswith((b"ply\n", b"ply\r")):
        raise ValueError("it does not begin with 'ply'")
    end = start.find(b"\nend_header")
    end = start.find(b"\rend_header") if end < 0 else end
    stop = end + len(b"\nend_header")
    rest = start[stop : stop + 2]
    if end < 0 or rest[:1] not in (b"\n", b"\r"):
        raise ValueError("no end of the header")
    text = start[:end].decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    return [line for line in text.split("\n")[1:] if line.strip()], stop + (2 if rest == b"\r\n" else 1)


def _with_property(element: PlyElement, words: list[str]) -> PlyElement:
    is_list = len(words) == 4 and words[0] == "list"
    kinds = words[1:3] if is_list else words[:1]
    if len(words) != (4 if is_list else 2) or any(kind not in _TYPES for kind in kinds):
        raise ValueError(f"property '{' '.join(words)[:40]}'")
    if any(words[-1] == name for name, _ in element.properties):
        raise ValueError(f"property {words[-1][:40]} twice")
    added = (*element.properties, (words[-1], _TYPES[kinds[0]]))
    return PlyElement(element.name, element.count, added, element.has_lists or is_list)


def _check_size(header: PlyHeader, size: int) -> None:
    """A text row has at least a digit and a blank or newline for each number; the last newline may be missing."""
    least = 0
    for element in header.elements:
        row = element.least_row_bytes if header.order else 2 * len(element.properties)
        least += element.count * row
    least -= 0 if header.order else min(least, 1)
    if header.size + least > size:
        raise ValueError(f"its header announces {header.size + least} bytes or more, it has {size}")
