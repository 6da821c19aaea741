"""Objects of a JSON file with checked keys and numbers; every message says where in the file it is."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence

from utils.errors import UserError


class Section:
    """One object of the file.

    Args:
        value: what the file has there.
        where: its place, in words, e.g. `layer 'dancer': clock`.
        known: all keys that it may have.

    Raises:
        UserError: it is no object, or has an unknown key; the nearest one is named.
    """

    def __init__(self, value: object, where: str, known: Sequence[str]) -> None:
        if not isinstance(value, dict):
            raise UserError(f"{where} is {shown(value)}; expected an object with some of {', '.join(known)}; mend it")
        self.values, self.where = value, where
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
                raise UserError(f"{where}: unknown key {key!r}; did you mean {near!r}? known: {', '.join(known)}")

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def place(self, key: str) -> str:
        """Where a value is, in words."""
        return f"{self.where}: {key}"

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty; without a default it must be there."""
        value = self.values.get(key, default)
        if not isinstance(value, str) or not value and value != default:
            raise UserError(f"{self.place(key)} is {shown(value)}; expected a text; mend it")
        return value

    def number(self, key: str, default: float | None, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number in low..high; without a default it must be there."""
        value = self.values.get(key, default)
        if not is_number(value) or not low <= value <= high:
            raise UserError(f"{self.place(key)} is {shown(value)}; expected a number{_limits(low, high)}; mend it")
        return float(value)

    def whole(self, key: str, default: int, low: int) -> int:
        """A whole number from `low` on."""
        value = self.values.get(key, default)
        if type(value) is not int or value < low:
            raise UserError(f"{self.place(key)} is {shown(value)}; expected a whole number from {low} on; mend it")
        return value

    def flag(self, key: str) -> bool:
        """true or false, which is the default."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise UserError(f"{self.place(key)} is {shown(value)}; expected true or false; mend it")
        return value

    def vector(self, key: str, default: Sequence[float]) -> tuple[float, ...]:
        """A list of as many finite numbers as the default has."""
        value = self.values.get(key, list(default))
        if not isinstance(value, list) or len(value) != len(default) or not all(map(is_number, value)):
            raise UserError(f"{self.place(key)} is {shown(value)}; expected {len(default)} numbers; mend it")
        return tuple(map(float, value))

    def entries(self, key: str) -> list:
        """A list; empty if it is not there."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise UserError(f"{self.place(key)} is {shown(value)}; expected a list; mend it")
        return value

    def only_one_of(self, *keys: str) -> None:
        """Refuse two keys that say the same thing."""
        found = [key for key in keys if key in self]
        if len(found) > 1:
            raise UserError(f"{self.where}: has {' and '.join(found)}; expected one of them; remove the other")


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def shown(value: object) -> str:
    """A value as messages show it."""
    return "missing" if value is None else repr(value)[:60]


def _limits(low: float, high: float) -> str:
    if math.isfinite(low) and math.isfinite(high):
        return f" in {low:g}..{high:g}"
    return f" from {low:g} on" if math.isfinite(low) else ""
