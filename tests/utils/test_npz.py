"""utils/npz.py: arrays from strangers."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from utils.errors import UserError
from utils.npz import npz_headers, read_npz, write_npz

ARRAYS = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.zeros((0, 3), np.uint8), "c": np.array(2.5)}


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive(path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)


def assert_refused(path, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as error:
        read_npz(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("compress", [False, True])
def test_round_trip(tmp_path, compress):
    path = tmp_path / "new" / "x.npz"
    write_npz(path, ARRAYS, compress)
    found = read_npz(path)
    assert found.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype
    assert npz_headers(path) == {name: (value.shape, value.dtype) for name, value in ARRAYS.items()}
    assert [entry.name for entry in path.parent.iterdir()] == ["x.npz"]


def test_python_objects_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{"run": 1}], dtype=object))
    assert_refused(tmp_path / "x.npz", "Python objects")


def test_a_small_file_cannot_make_large_arrays(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.zeros(30_000_000, np.uint8))
    assert path.stat().st_size < 50_000
    assert_refused(path, "would unpack")


def test_a_header_cannot_promise_more_than_there_is(tmp_path):
    data = npy(np.zeros((3, 1000), np.float32))
    archive(tmp_path / "x.npz", {"a.npy": data.replace(b"(3, 1000)", b"(3, 9999)")})
    assert_refused(tmp_path / "x.npz", "says")


@pytest.mark.parametrize("size", [0, 10, 100, 400])
def test_cut_off_files_are_refused(tmp_path, size):
    write_npz(tmp_path / "x.npz", ARRAYS, compress=False)
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(whole[:size])
    assert_refused(tmp_path / "x.npz", "not a whole")


def test_every_damaged_byte_is_noticed_or_harmless(tmp_path):
    write_npz(tmp_path / "x.npz", {"a": ARRAYS["a"]}, compress=True)
    whole = (tmp_path / "x.npz").read_bytes()
    for index in range(0, len(whole), 3):
        (tmp_path / "x.npz").write_bytes(whole[:index] + bytes([whole[index] ^ 0x55]) + whole[index + 1 :])
        try:
            found = read_npz(tmp_path / "x.npz")
        except UserError:
            continue
        for value in found.values():
            np.testing.assert_array_equal(value, ARRAYS["a"])


def test_other_members_are_refused(tmp_path):
    archive(tmp_path / "x.npz", {"a.npy": npy(np.zeros(3)), "note.txt": b"hello"})
    assert_refused(tmp_path / "x.npz", "not a whole")


def test_a_missing_file_is_one_line(tmp_path):
    assert_refused(tmp_path / "x.npz", "no such file")
