"""One pattern for everything that is added by adding a file: datasets, teachers, formats, losses, motions."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeVar

from utils.errors import UserError

T = TypeVar("T")


class Registry:
    """Names to objects (classes or functions) of one kind.

    Args:
        kind: what is registered, in words; used in messages, e.g. "teacher".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, tuple[Any, dict[str, Any]]] = {}

    def register(self, name: str, **info: Any) -> Callable[[T], T]:
        """Decorator that enters its object under `name`, with free `info` (see the method `info`)."""

        def enter(obj: T) -> T:
            known = self._entries.get(name)
            if known is not None and known[0].__qualname__ != obj.__qualname__:
                raise ValueError(f"{self.kind} '{name}' is registered twice; names must differ; rename one of them")
            self._entries[name] = (obj, info)
            return obj

        return enter

    def get(self, name: str) -> Any:
        """The object called `name`; an unknown name is a `UserError` with the nearest and all known names."""
        if name not in self._entries:
            nearest = difflib.get_close_matches(name, self._entries, n=1)
            hint = f"did you mean '{nearest[0]}'? " if nearest else ""
            known = ", ".join(self.names()) or "none"
            raise UserError(f"unknown {self.kind} '{name}'; {hint}known: {known}")
        return self._entries[name][0]

    def info(self, name: str) -> dict[str, Any]:
        """The keywords given to `register` for `name`."""
        self.get(name)
        return dict(self._entries[name][1])

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._entries)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Pairs (name, object); higher `priority=` first, then by name."""
        for name in sorted(self._entries, key=lambda key: (-self._entries[key][1].get("priority", 0), key)):
            yield name, self._entries[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def discover(self, package: str | ModuleType) -> Registry:
        """Import every module of `package` without a leading underscore, so that it registers; returns self."""
        module = importlib.import_module(package) if isinstance(package, str) else package
        for entry in pkgutil.iter_modules(module.__path__):
            if not entry.name.startswith("_"):
                importlib.import_module(f"{module.__name__}.{entry.name}")
        return self
