"""PLY headers: what is announced must be there, before anything is allocated."""

from __future__ import annotations

import numpy as np
import pytest

from utils.errors import UserError
from utils.ply_header import read_header, read_rows

BODY = np.arange(6, dtype="<f4").tobytes()
PLAIN = ["ply", "format binary_little_endian 1.0", "element vertex 3", "property float x", "property float32 y"]


def written(tmp_path, lines, body=BODY, newline="\n"):
    path = tmp_path / "a.ply"
    path.write_bytes(newline.join([*lines, "end_header"]).encode() + newline.encode() + body)
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_header_and_rows(tmp_path, newline):
    path = written(tmp_path, [*PLAIN[:2], "comment element vertex 99", *PLAIN[2:]], newline=newline)
    header = read_header(path)
    assert header.element("vertex").properties == (("x", "f4"), ("y", "f4")) and header.element("face") is None
    rows = read_rows(path, header, "vertex")
    np.testing.assert_array_equal(rows["y"], [1, 3, 5])


def test_rows_of_a_later_element(tmp_path):
    path = written(tmp_path, [*PLAIN, "element more 2", "property uchar a"], BODY + b"\x05\x07")
    np.testing.assert_array_equal(read_rows(path, read_header(path), "more")["a"], [5, 7])
    with pytest.raises(UserError, match="'none' is text, after lists or absent"):
        read_rows(path, read_header(path), "none")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["plx", *PLAIN[1:]], "does not begin with 'ply'"),
        ([PLAIN[0], *PLAIN[2:]], "no known format line"),
        ([*PLAIN[:2], "element vertex 4", *PLAIN[3:]], "announces"),
        ([*PLAIN[:2], "element vertex 99999999999999999999", *PLAIN[3:]], "announces"),
        ([*PLAIN[:2], "element vertex -3", *PLAIN[3:]], "header line 'element vertex -3'"),
        ([*PLAIN[:2], "element vertex 3e9", *PLAIN[3:]], "header line"),
        ([*PLAIN, "property float128 z"], "property 'float128 z'"),
        ([*PLAIN, "property float x"], "property x twice"),
        ([*PLAIN[:2], "property float x"], "header line 'property float x'"),
        ([*PLAIN, "element face 1000000000", "property list uchar int i"], "announces"),
        (["ply", "format ascii 1.0", "element vertex 1000000000000", "property float x"], "announces"),
    ],
)
def test_wrong_headers_are_one_line(tmp_path, lines, message):
    path = written(tmp_path, lines)
    with pytest.raises(UserError, match=message) as caught:
        read_header(path)
    assert "a.ply: not a whole PLY file" in str(caught.value) and "\n" not in str(caught.value)


def test_an_endless_header_is_refused(tmp_path):
    path = tmp_path / "a.ply"
    path.write_bytes(b"ply\n" + b"comment x\n" * 300_000)
    with pytest.raises(UserError, match="no end of the header"):
        read_header(path)
