"""Reads the tensors of torch archives that hold Python objects, without making or calling any of these objects.

PyTorch Lightning keeps callbacks in its checkpoints, OpenAI published CLIP as TorchScript: `torch.load` rightly refuses
both. Both are zip archives of one pickle and one record per storage. Here every class named in the pickle becomes an
empty stand-in, except for the few that make tensors; storages are read only for the tensors that are handed out.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.errors import UserError

CONTAINERS = ("state_dict", "model")  # keys under which checkpoints keep their weights
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Inert(dict):
    """Stands for an object of any class; keeps what it is given and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()
        self.state: Any = None

    def __call__(self, *_: Any, **__: Any) -> Inert:
        return Inert()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        """Part of a list-like object; dropped."""

    def extend(self, items: Any) -> None:
        """Parts of a list-like object; dropped."""

    __hash__ = object.__hash__


@dataclass(frozen=True)
class Storage:
    """A record of the archive with raw numbers."""

    dtype: torch.dtype
    key: str


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that has not been read yet."""

    storage: Storage
    offset: int  # elements
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _lazy_tensor(storage: Storage, offset: int, size: tuple, stride: tuple, *_: Any) -> LazyTensor:
    return LazyTensor(storage, offset, tuple(size), tuple(stride))


def _lazy_parameter(data: LazyTensor, *_: Any) -> LazyTensor:
    return data


MAKERS = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _lazy_tensor,
    ("torch._utils", "_rebuild_parameter"): _lazy_parameter,
}


class _InertUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """A maker of tensors, a number format, or an empty class of that name."""
        if (module, name) in MAKERS:
            return MAKERS[module, name]
        if module in ("torch", "torch.storage") and name in DTYPES:
            return DTYPES[name]
        return type(name, (Inert,), {})

    def persistent_load(self, reference: Any) -> Storage:
        """The storage that a tensor refers to."""
        kind, dtype, key = reference[:3]
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"unknown storage {kind} {dtype}")
        return Storage(dtype, str(key))


def read_inert(path: Path) -> dict[str, Any]:
    """What the pickle of a torch archive holds; its state dict (or TorchScript module) as tensors by name.

    Raises:
        UserError: the file is damaged.
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
                with archive.open(pickled) as stream:
                    root = _InertUnpickler(stream).load()
                storages = pickled.removesuffix("data.pkl") + "data/"
                return {name: _read(archive, storages, lazy) for name, lazy in _named(root)}
        # A damaged pickle can raise nearly anything; whatever it is, the file is what is wrong.
        except Exception as error:
            reason = " ".join(str(error).split())[:100] or type(error).__name__
            raise UserError(f"{path} is truncated or no torch file ({reason}); get it again") from error


def unwrap(loaded: object) -> dict[str, Any]:
    """The part of a loaded checkpoint that holds its weights; empty if it is no dictionary."""
    for container in CONTAINERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(container), Mapping):
            loaded = loaded[container]
    return {str(name): value for name, value in loaded.items()} if isinstance(loaded, Mapping) else {}


def _named(root: Any) -> Iterator[tuple[str, LazyTensor]]:
    """Names and tensors of a checkpoint's state dict, of a plain dictionary, or of a TorchScript module."""
    if isinstance(root, Inert):
        yield from _module_tensors(root, "")
    else:
        yield from ((name, value) for name, value in unwrap(root).items() if isinstance(value, LazyTensor))


def _module_tensors(module: Inert, prefix: str) -> Iterator[tuple[str, LazyTensor]]:
    for name, value in (module.state or {}).items():
        if isinstance(value, LazyTensor):
            yield prefix + name, value
        elif isinstance(value, Inert):
            yield from _module_tensors(value, f"{prefix}{name}.")


def _read(archive: zipfile.ZipFile, folder: str, lazy: LazyTensor) -> Tensor:
    numbers = torch.frombuffer(bytearray(archive.read(folder + lazy.storage.key)), dtype=lazy.storage.dtype)
    return numbers.as_strided(lazy.size, lazy.stride, lazy.offset)
