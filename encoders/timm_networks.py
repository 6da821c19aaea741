"""Networks of the timm library, imported only when one is built: that takes seconds."""

from __future__ import annotations

from typing import Any

from torch import nn

from utils.errors import UserError


def create_network(name: str, **options: Any) -> nn.Module:
    """timm's network `name` with random weights.

    Raises:
        UserError: timm is missing or has no such network.
    """
    timm = import_timm()
    if not timm.is_model(name):
        raise UserError(f"timm has no network '{name}'; expected one of timm.list_models(); check the name")
    return timm.create_model(name, pretrained=False, **options)


def import_timm() -> Any:
    """The library itself; UserError naming the command that installs it."""
    try:
        import timm
    except ImportError:
        raise UserError("this teacher needs timm, which is missing; run: pip install timm") from None
    return timm
