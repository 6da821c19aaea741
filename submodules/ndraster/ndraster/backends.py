"""Which backends exist on this machine, and which one serves a call."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor

from ndraster.build import BuildError, load_library, missing_for

BACKENDS = ("cuda", "cpu", "reference")


class BackendError(ValueError):
    """The asked-for backend is unknown, cannot be built, or does not serve this tensor."""


def available_backends() -> tuple[str, ...]:
    """Names of the backends that can run here, fastest first; compiled ones are listed if their tools are present."""
    return tuple(name for name in BACKENDS if name == "reference" or not missing_for(name))


def choose_backend(asked: str, means: Tensor) -> str:
    """The backend for Gaussians like `means`; loads (and if need be builds) it."""
    if asked not in ("auto", *BACKENDS):
        raise BackendError(f"backend is {asked!r}; expected auto, {', '.join(BACKENDS)}")
    if asked == "reference":
        return asked
    if means.dtype != torch.float32:
        raise BackendError(f"Gaussians are {means.dtype}; the compiled backends take float32: use backend='reference'")
    wanted = means.device.type if asked == "auto" else asked
    if wanted != means.device.type:
        raise BackendError(f"backend is {wanted!r} but the Gaussians are on {means.device}; move them or use 'auto'")
    if asked == "auto" and wanted == "cpu":
        return _cpu_or_reference()
    load(wanted)
    return wanted


def load(name: str) -> None:
    """Load the compiled backend, building it first if its cache is empty; BackendError says what is missing."""
    try:
        load_library(name)
    except BuildError as error:
        raise BackendError(f"{error}; `python -m ndraster doctor` explains") from None


@cache
def runs_fused(device_type: str) -> bool:
    """Whether there are compiled kernels for a kind of device; asked once, then they are loaded."""
    if device_type not in available_backends():
        return False
    load(device_type)
    return True


@cache
def has_operator(name: str, operator: str) -> bool:
    """Whether the library of a backend that runs here offers this operator; the reference has none."""
    if name == "reference":
        return False
    load(name)
    return hasattr(getattr(torch.ops, f"ndraster_{name}"), operator)


@cache
def _cpu_or_reference() -> str:
    """Without a C++ compiler `auto` on the CPU still works, slowly, and says so once."""
    missing = missing_for("cpu")
    if not missing:
        load("cpu")
        return "cpu"
    warnings.warn(
        f"ndraster: no C++ backend ({'; '.join(missing)}): using the PyTorch reference, roughly 100 times slower",
        stacklevel=4,
    )
    return "reference"
