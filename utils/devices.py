"""From the name of a device on the command line to a torch device."""

from __future__ import annotations

import torch

from utils.errors import UserError


def choose_device(name: str, flag: str = "device") -> torch.device:
    """The device called `name` (auto = the GPU when there is one); UserError if torch has no such device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = named_device(name, flag)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"--{flag} is {name!r} but torch sees {torch.cuda.device_count()} GPUs; use auto or cpu")
    return device


def named_device(name: str, flag: str) -> torch.device:
    """The device called `name`, whether it exists here or not; UserError if that is no name of one."""
    try:
        return torch.device(name)
    except RuntimeError:
        raise UserError(f"--{flag} is {name!r}; expected auto, cpu, cuda or cuda:<number>; mend it") from None
