"""Weight files: the search order, downloads from a local server, and files that try to harm."""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
import time
from collections import OrderedDict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from encoders.weights import (
    WeightFile,
    download_folder,
    find_any,
    find_local,
    find_weights,
    fingerprint,
    load_strictly,
    load_weights,
)
from utils.errors import UserError

NET = WeightFile("net.pth", help="the moon")
STATE = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2)}


@pytest.fixture(autouse=True)
def empty_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any weights, and no environment variable that leads elsewhere."""
    for name in ("SPLAT_DISTILL_WEIGHTS", "TORCH_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(STATE, path)
    return path


def test_places_are_searched_in_order(empty_computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = WeightFile("net.pth", hub=("org/name", "model.pth"))
    home, work = empty_computer / "home", empty_computer / "work"
    monkeypatch.setenv("SPLAT_DISTILL_WEIGHTS", f"{empty_computer / 'a'}{os.pathsep}{empty_computer / 'b'}")
    places = [
        home / ".cache" / "huggingface" / "hub" / "models--org--name" / "snapshots" / "1f" / "model.pth",
        home / ".cache" / "clip" / "net.pth",
        home / ".cache" / "torch" / "hub" / "checkpoints" / "net.pth",
        work / "checkpoints" / "net.pth",
        work / "weights" / "net.pth",
        empty_computer / "b" / "net.pth",
        empty_computer / "a" / "net.pth",
    ]
    assert find_local(hub) is None
    for place in places:  # from the last place to the first
        touch(place)
        assert find_weights(hub).resolve() == place.resolve()


def test_an_explicit_file_folder_or_name_wins(empty_computer: Path) -> None:
    usual, other = touch(Path("weights/net.pth")), touch(empty_computer / "other" / "mine.pth")
    assert find_weights(NET, str(other)) == other
    assert find_weights(NET, "weights") == usual
    touch(Path("checkpoints/theirs.pth"))
    assert find_weights(NET, "theirs.pth") == Path("checkpoints/theirs.pth")
    with pytest.raises(UserError, match="wrong.pth is no weight file"):
        find_weights(NET, "wrong.pth")


def test_of_equivalent_files_the_one_that_is_here_is_taken() -> None:
    second = WeightFile("second.pth")
    path = touch(Path("weights/second.pth"))
    assert find_any([NET, second]) == path


def test_a_converted_copy_is_preferred_until_the_original_changes() -> None:
    path = touch(Path("weights/net.pth"))
    copy = path.with_suffix(".safetensors")
    save_file(STATE, copy)
    os.utime(path, (1e9, 1e9))
    assert find_weights(NET) == copy
    os.utime(path, (4e9, 4e9))
    assert find_weights(NET) == path
    path.unlink()
    assert find_weights(NET) == copy


@pytest.fixture
def server(empty_computer: Path):
    """Serves the folder `served`; gives its address."""
    folder = empty_computer / "served"
    folder.mkdir()

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def test_a_download_is_checked_and_kept(server: tuple[Path, str]) -> None:
    folder, address = server
    digest = hashlib.sha256(touch(folder / "net.pth").read_bytes()).hexdigest()
    file = WeightFile("net.pth", f"{address}/net.pth", sha256=digest[:12])
    path = find_weights(file)
    assert path == download_folder() / "net.pth"
    assert load_weights(path).keys() == STATE.keys()
    (folder / "net.pth").unlink()
    assert find_weights(file) == path


def test_a_damaged_download_leaves_nothing(server: tuple[Path, str]) -> None:
    folder, address = server
    touch(folder / "net.pth")
    with pytest.raises(UserError, match="checksum"):
        find_weights(WeightFile("net.pth", f"{address}/net.pth", sha256="00ff"))
    assert not list(download_folder().glob("*"))


def test_hub_files_come_from_the_endpoint(server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, address = server
    monkeypatch.setenv("HF_ENDPOINT", address)
    touch(folder / "org" / "name" / "resolve" / "main" / "model.pth")
    assert find_weights(WeightFile("net.pth", hub=("org/name", "model.pth"))).name == "net.pth"


def test_without_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        find_any([NET, WeightFile("other.pth", "http://127.0.0.1:9/other.pth")])
    message = str(caught.value)
    for part in ("net.pth", "the moon", "http://127.0.0.1:9/other.pth", str(download_folder()), "-f classical"):
        assert part in message
    assert "\n" not in message
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        find_weights(WeightFile("net.pth", hub=("org/name", "model.pth")))
    assert time.monotonic() - start < 1.0


@pytest.mark.parametrize("container", [None, "state_dict", "model"])
@pytest.mark.parametrize("zipped", [True, False])
def test_plain_torch_files_are_unwrapped(container: str | None, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({container: STATE, "epoch": 3} if container else STATE, path, _use_new_zipfile_serialization=zipped)
    loaded = load_weights(path)
    assert loaded.keys() == STATE.keys()
    assert all(torch.equal(loaded[name], STATE[name]) for name in STATE)
    assert not path.with_suffix(".safetensors").exists()


class ModelCheckpoint:
    """As PyTorch Lightning's: its class is a key of the checkpoint's dictionary."""


class AttributeDict(dict):
    """As PyTorch Lightning's hyper-parameters."""


def lightning_checkpoint(path: Path) -> Path:
    """An imitation of what PyTorch Lightning 1.3 wrote, with a half-precision tensor, a view and a parameter."""
    wide = torch.arange(12.0).reshape(3, 4)
    state = OrderedDict(
        {"net.a": wide[:, 1:3], "net.b": nn.Parameter(torch.ones(2)), "net.c": torch.tensor(3), "net.d": wide.half()}
    )
    content = {
        "callbacks": {ModelCheckpoint: {"best_model_score": np.float64(0.25), "best": torch.tensor(1.0)}},
        "hyper_parameters": AttributeDict(crop_size=480, path=Path("somewhere")),
        "optimizer_states": [{"state": {0: {"momentum_buffer": torch.zeros(1000)}}}],
        "state_dict": state,
    }
    torch.save(content, path)
    return path


def test_of_a_lightning_checkpoint_only_the_weights_are_read(tmp_path: Path, capsys) -> None:
    path = lightning_checkpoint(tmp_path / "demo.ckpt")
    loaded = load_weights(path)
    assert set(loaded) == {"net.a", "net.b", "net.c", "net.d"}
    assert torch.equal(loaded["net.a"], torch.arange(12.0).reshape(3, 4)[:, 1:3])
    assert loaded["net.d"].dtype == torch.float16 and loaded["net.c"] == 3
    assert "Python objects" in capsys.readouterr().err


def test_a_lightning_checkpoint_is_converted_for_the_next_time(tmp_path: Path) -> None:
    path = lightning_checkpoint(tmp_path / "weights.ckpt")
    first, identity = load_weights(path), fingerprint(path)
    copy = find_weights(WeightFile("weights.ckpt"), str(path))
    assert copy.suffix == ".safetensors" and fingerprint(copy) == identity == f"weights:{path.stat().st_size}"
    again = load_weights(copy)
    assert all(torch.equal(first[name], again[name]) for name in first) and first.keys() == again.keys()


def test_a_read_only_folder_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lightning_checkpoint(tmp_path / "demo.ckpt")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr("encoders.weights.save_file", refuse)
    assert load_weights(path)
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["demo.ckpt"]


class Evil:
    """Touches a file when it is unpickled by a trusting reader."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("place", ["beside", "instead", "inside"])
def test_code_in_a_file_does_not_run(tmp_path: Path, place: str) -> None:
    path, marker = tmp_path / "evil.ckpt", tmp_path / "marker"
    evil = Evil(marker)
    content = {"beside": {"x": evil, "state_dict": STATE}, "instead": evil, "inside": {**STATE, "x": evil}}[place]
    torch.save(content, path)
    if place == "instead":
        with pytest.raises(UserError):
            load_weights(path)
    else:
        assert load_weights(path).keys() == STATE.keys()
    assert not marker.exists()
    torch.load(path, weights_only=False)  # the test of the test: it would have run
    assert marker.exists()


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    path, marker = tmp_path / "evil.pth", tmp_path / "marker"
    path.write_bytes(pickle.dumps({"x": Evil(marker)}))
    with pytest.raises(UserError):
        load_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["plain", "lightning", "safetensors"])
def test_a_truncated_file_is_one_line(tmp_path: Path, share: float, kind: str) -> None:
    path = tmp_path / ("net.safetensors" if kind == "safetensors" else "net.ckpt")
    if kind == "plain":
        torch.save(STATE, path)
    elif kind == "lightning":
        lightning_checkpoint(path)
    else:
        save_file(STATE, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=path.name) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)


def test_a_file_without_weights_says_so(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "net.pth")
    with pytest.raises(UserError, match="no weights"):
        load_weights(tmp_path / "net.pth")


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_read_without_running_it(tmp_path: Path) -> None:
    network = nn.Sequential(
        OrderedDict(first=nn.Linear(3, 4), second=nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)))
    )
    path = tmp_path / "net.pt"
    torch.jit.save(torch.jit.trace(network.eval().half().float(), torch.zeros(1, 3)), path)
    loaded, own = load_weights(path), network.state_dict()
    assert loaded.keys() == own.keys()
    assert all(torch.equal(loaded[name], own[name]) for name in own)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_weights_are_cast_to_the_network(device: str, tmp_path: Path) -> None:
    with torch.device(device):
        module = nn.Linear(3, 2)
    load_strictly(module, {"weight": torch.ones(2, 3).half(), "bias": torch.zeros(2)}, tmp_path)
    assert module.weight.dtype == torch.float32 and module(torch.ones(1, 3)).tolist() == [[3.0, 3.0]]


def test_a_foreign_network_is_named_by_its_first_differences(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    state = {"0.weight": torch.ones(5, 3), "0.bias": torch.ones(2), "other": torch.ones(1)}
    with pytest.raises(UserError) as caught:
        load_strictly(module, state, tmp_path / "net.pth")
    message = str(caught.value)
    for part in ("net.pth", "2 missing (1.weight, 1.bias)", "1 unknown (other)", "0.weight (5, 3) instead of (2, 3)"):
        assert part in message
