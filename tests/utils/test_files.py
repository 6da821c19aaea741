import json
import os
import pickle
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from utils.errors import UserError
from utils.files import (
    STALE_TEMP_SEC,
    append_jsonl,
    atomic_path,
    load_torch,
    read_json,
    read_jsonl,
    save_torch,
    write_json,
)


class Bomb:
    """Creates a file when it is unpickled carelessly."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_atomic_path_replaces_only_on_success(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with atomic_path(target) as temp:
        temp.write_text("first")
        assert not target.exists() and temp.parent == target.parent and temp.suffix == ".txt"
    with pytest.raises(RuntimeError), atomic_path(target) as temp:
        temp.write_text("half")
        raise RuntimeError
    assert target.read_text() == "first"
    assert list(target.parent.iterdir()) == [target]


def test_atomic_path_survives_keyboard_interrupt(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "a") as temp:
        temp.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_atomic_path_removes_only_what_killed_processes_left(tmp_path):
    old, fresh, other = (tmp_path / name for name in (".a.bin.1.tmp.bin", ".a.bin.2.tmp.bin", ".b.bin.1.tmp.bin"))
    for path in (old, fresh, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (0, time.time() - STALE_TEMP_SEC - 10))
    with atomic_path(tmp_path / "a.bin") as temp:
        temp.write_text("whole")
    assert not old.exists() and fresh.exists() and other.exists()


def test_json_round_trip_of_what_scripts_write(tmp_path):
    @dataclass(frozen=True)
    class Row:
        name: str
        values: tuple[float, ...]

    row = Row("é", (1.5, float("inf")))
    write_json(tmp_path / "x.json", {"row": row, "array": np.arange(3), "scalar": np.float32(2), "path": Path("a/b")})
    plain_row = {"name": "é", "values": [1.5, None]}
    expected = {"row": plain_row, "array": [0, 1, 2], "scalar": 2.0, "path": str(Path("a/b"))}
    assert read_json(tmp_path / "x.json") == expected


def test_write_json_keeps_the_old_file_when_it_fails(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert read_json(tmp_path / "x.json") == {"a": 1}


@pytest.mark.parametrize("text", ["", '{"a": 1', "nonsense", "\xff\xfe", "[" * 100_000])
def test_broken_json_is_one_line(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match="not valid JSON") as error:
        read_json(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_jsonl_drops_the_line_that_a_killed_process_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_jsonl(path, {"step": 1})
    with open(path, "a") as file:
        file.write('{"step": 2, "ps')
    assert read_jsonl(path) == [{"step": 1}]
    append_jsonl(path, {"step": 2, "psnr": float("nan")})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"step": 1}, {"step": 2, "psnr": None}]
    path.write_text("{bad\n")
    with pytest.raises(UserError, match="line 1"):
        read_jsonl(path)


def test_torch_round_trip_and_dtype(tmp_path):
    state = {"a": torch.randn(3, 2, dtype=torch.float64), "half": torch.ones(2).half(), "n": [1, 2.5, "x", None, True]}
    save_torch(tmp_path / "s.pth", state)
    loaded = load_torch(tmp_path / "s.pth")
    assert torch.equal(loaded["a"], state["a"]) and loaded["half"].dtype == torch.float16 and loaded["n"] == state["n"]


@pytest.mark.parametrize("keep", [0, 1, 10, 300, -1, -100])
def test_truncated_torch_file_is_one_line(tmp_path, keep):
    path = tmp_path / "s.pth"
    save_torch(path, {"a": torch.randn(100)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="cannot be loaded") as error:
        load_torch(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("writer", [torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb))])
def test_pickle_bomb_is_refused_and_does_not_run(tmp_path, writer):
    path, mark = tmp_path / "bomb.pth", tmp_path / "mark"
    writer(Bomb(mark), path)
    with pytest.raises(UserError, match="refused"):
        load_torch(path)
    assert not mark.exists()
    torch.load(path, weights_only=False) if writer is torch.save else pickle.loads(path.read_bytes())
    assert mark.exists()  # it is a real bomb


def test_missing_files_are_os_errors(tmp_path):
    for reader in (load_torch, read_json):
        with pytest.raises(FileNotFoundError):
            reader(tmp_path / "none")


def test_files_of_private_writers_get_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    with atomic_path(tmp_path / "a") as temp:
        temp.touch(mode=0o600)
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode
