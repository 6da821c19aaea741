"""Weight files of the networks: where they lie, how they get here, and what is in them.

A file is looked for in the places where people and other programs keep it, and downloaded only when it is in none of
them. Whatever comes from a file is tensors: nothing in it is executed (see `inert_unpickler`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from encoders.inert_unpickler import read_inert, unwrap
from utils.errors import UserError
from utils.files import atomic_path, load_torch
from utils.progress import Progress, say, warn

PLACES_VARIABLE = "SPLAT_DISTILL_WEIGHTS"  # a folder of weight files, or several separated by `:`
PROJECT = Path(__file__).resolve().parents[1]
CONNECT_SEC = 10.0
BLOCK = 1 << 20  # bytes
SOURCE_SIZE = "source_bytes"  # in the metadata of a converted file: size of the file it was made from
SHOWN = 3  # keys of each kind that a message names


@dataclass(frozen=True)
class WeightFile:
    """A published weight file."""

    name: str
    """Its name on this computer."""
    url: str = ""
    """Direct download."""
    sha256: str = ""
    """Hexadecimal checksum, or the beginning of it; empty = unknown."""
    hub: tuple[str, str] | None = None
    """Hugging Face repository and the name of the file there."""
    help: str = ""
    """Where to get it by hand, in one phrase."""

    @property
    def address(self) -> str:
        """Where it can be downloaded without a person; empty = nowhere."""
        if self.url or self.hub is None:
            return self.url
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        return f"{endpoint}/{self.hub[0]}/resolve/main/{self.hub[1]}"


def find_weights(file: WeightFile, explicit: str = "") -> Path:
    """The weight file on this computer, downloaded if need be.

    Args:
        file: what is wanted.
        explicit: path of a file or of its folder, or the name of a file in one of the usual places; empty = `file`.

    Raises:
        UserError: it is not here and cannot be downloaded.
    """
    return find_any([file], explicit)


def find_any(files: Sequence[WeightFile], explicit: str = "") -> Path:
    """The first of several equivalent files that is on this computer, else the first that can be downloaded."""
    if explicit:
        found = _find_explicit(files, explicit)
        if found is not None:
            return found
        files = [file for file in files if file.name == explicit]
    local = next(filter(None, map(find_local, files)), None)
    if local is not None:
        return local
    reasons = []
    for file in filter(lambda file: file.address, files):
        try:
            return download(file, download_folder() / file.name)
        except (OSError, HTTPException) as error:
            reasons.append(f"{file.address}: {_network_reason(error)}")
    raise UserError(_missing(files, "; ".join(reasons)))


def find_local(file: WeightFile) -> Path | None:
    """The weight file in the first of the usual places that has it (a converted copy counts); None = in none."""
    inside_hub = [snapshot / file.hub[1] for snapshot in _hub_snapshots(file.hub[0])] if file.hub else []
    candidates = [folder / file.name for folder in search_folders()] + inside_hub
    return next(filter(None, map(_or_converted, candidates)), None)


def search_folders() -> Iterator[Path]:
    """Folders in which weight files are looked for, in order, apart from the Hugging Face cache."""
    yield from (Path(place) for place in os.environ.get(PLACES_VARIABLE, "").split(os.pathsep) if place)
    for root in (Path(), PROJECT):
        yield from (root / "weights", root / "checkpoints")
    yield download_folder()
    yield Path.home() / ".cache" / "clip"


def download_folder() -> Path:
    """Where downloads go: torch hub's checkpoints, shared with other programs."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def _hub_snapshots(repository: str) -> list[Path]:
    """Snapshots of a repository in the Hugging Face cache, newest first."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    snapshots = (cache / f"models--{repository.replace('/', '--')}" / "snapshots").glob("*")
    return sorted(snapshots, key=lambda path: path.stat().st_mtime, reverse=True)


def _or_converted(path: Path) -> Path | None:
    """The converted copy beside `path` unless that is newer, else `path`, else None."""
    copy = path.with_suffix(".safetensors")
    if copy.is_file() and not (path.is_file() and path.stat().st_mtime > copy.stat().st_mtime):
        return copy
    return path if path.is_file() else None


def _find_explicit(files: Sequence[WeightFile], explicit: str) -> Path | None:
    """The file that was named; None if it is one of `files`, by its bare name, and not on this computer."""
    given = Path(explicit).expanduser()
    candidates = [given / file.name for file in files] if given.is_dir() else [given]
    if given.name == explicit:
        candidates += [folder / explicit for folder in search_folders()]
    found = next(filter(None, map(_or_converted, candidates)), None)
    if found is None and explicit not in [file.name for file in files]:
        names = " or ".join(file.name for file in files)
        raise UserError(f"{explicit} is no weight file; expected the path of {names}; check it, or leave it out")
    return found


def download(file: WeightFile, target: Path) -> Path:
    """Fetch a weight file with a progress bar; it appears under its name only when it is whole.

    Raises:
        OSError, HTTPException: the network or the disk failed.
        UserError: the checksum is wrong.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        raise OSError("HF_HUB_OFFLINE is set")
    request = Request(file.address, headers={"User-Agent": "splat-distill"})
    with urlopen(request, timeout=CONNECT_SEC) as response:
        size = int(response.headers.get("Content-Length") or 0)
        say(f"weights: {file.name} ({size / 1e6:.0f} MB) from {file.address} to {target}")
        with atomic_path(target) as temp:
            found = _copy(response, temp, size)
            if not found.startswith(file.sha256.lower()):
                raise UserError(
                    f"{file.address} has the checksum {found[:16]}..., expected {file.sha256[:16]}...; "
                    "the file was replaced or damaged on its way; get it from its authors"
                )
    return target


def _copy(response, target: Path, size: int) -> str:
    """Copy a response to a file and return the SHA-256 of its bytes."""
    digest, done = hashlib.sha256(), 0
    with open(target, "wb") as out, Progress(max(1, size // BLOCK)) as progress:
        while block := response.read(BLOCK):
            out.write(block)
            digest.update(block)
            done += len(block)
            progress.update(done // BLOCK, MB=done / 1e6)
    if size and done != size:
        raise OSError(f"the connection broke off after {done} of {size} bytes")
    return digest.hexdigest()


def _network_reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", "") or error).split())[:100] or type(error).__name__


def _missing(files: Sequence[WeightFile], reason: str) -> str:
    names = " or ".join(file.name for file in files)
    sources = "; ".join(f"{file.name}: {file.help or file.address}" for file in files)
    failed = f" and could not be downloaded ({reason})" if reason else ""
    return (
        f"the weights {names} are not on this computer{failed}; get one by hand ({sources}) and put it into "
        f"{download_folder()} or ./weights, or name its path; -f classical needs no download"
    )


def load_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file by name, on the CPU, memory-mapped where the format allows.

    Reads safetensors, plain torch files, TorchScript archives, and checkpoints that hold Python objects beside their
    weights (PyTorch Lightning), of which only the weights are read; the latter are stored as safetensors beside the
    file when its folder can be written. `{"state_dict": ...}` and `{"model": ...}` are unwrapped.

    Raises:
        UserError: the file is damaged or has no weights.
    """
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    is_zip = _is_zip(path)
    try:
        return _tensors(load_torch(path, mmap=is_zip), path)
    except UserError:
        if not is_zip:
            raise
    state = _tensors(read_inert(path), path)
    warn(f"{path.name} holds Python objects beside its weights; the {len(state)} tensors were read, the rest was not")
    _convert(path, state)
    return state


def _is_zip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path} is not a readable safetensors file ({reason}); get it again") from None


def _tensors(loaded: object, path: Path) -> dict[str, Tensor]:
    """The named tensors of what a file held."""
    state = {name: value for name, value in unwrap(loaded).items() if isinstance(value, Tensor)}
    if not state:
        raise UserError(f"{path} has no weights: {type(loaded).__name__}; expected named tensors; get it again")
    return state


def _convert(path: Path, state: Mapping[str, Tensor]) -> None:
    """Store the weights as safetensors beside `path`, for the next time, if the folder can be written."""
    target = path.with_suffix(".safetensors")
    plain = {name: tensor.contiguous() for name, tensor in state.items()}
    try:
        with atomic_path(target) as temp:
            save_file(plain, temp, metadata={SOURCE_SIZE: str(path.stat().st_size)})
        say(f"weights: stored as {target}, which loads faster")
    except (OSError, SafetensorError):
        return


def fingerprint(path: Path) -> str:
    """Short identity of a weight file: its stem and size in bytes, the same for a converted copy."""
    size = path.stat().st_size
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            size = int((file.metadata() or {}).get(SOURCE_SIZE, size))
    return f"{path.stem}:{size}"


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Give a module exactly these weights, cast to its own number formats; modules on the meta device take them over.

    Raises:
        UserError: names or shapes differ; the message names the first that do.
    """
    own = module.state_dict()
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    found = {
        "missing": [name for name in own if name not in state],
        "unknown": [name for name in state if name not in own],
        "of another shape": shapes,
    }
    wrong = [f"{len(names)} {kind} ({', '.join(names[:SHOWN])})" for kind, names in found.items() if names]
    if wrong:
        raise UserError(f"{path} does not fit the network: {'; '.join(wrong)}; use the weights of this network")
    on_meta = any(tensor.is_meta for tensor in own.values())
    module.load_state_dict({name: state[name].to(own[name].dtype) for name in own}, assign=on_meta)
