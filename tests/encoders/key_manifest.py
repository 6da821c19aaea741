"""Names and shapes of the tensors in published weight files, kept as compact JSON in `manifests/`."""

from __future__ import annotations

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "manifests"
NUMBERS = re.compile(r"\[([\d,-]+)\]")


def published_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape; `[0-3]` or `[0,2]` in a name of the manifest stands for several numbers."""
    shapes = {}
    for key, shape in json.loads((FOLDER / f"{name}.json").read_text()).items():
        found = NUMBERS.search(key)
        for number in _listed(found[1]) if found else [0]:
            shapes[NUMBERS.sub(str(number), key)] = tuple(shape)
    return shapes


def _listed(text: str) -> list[int]:
    if "-" in text:
        first, last = map(int, text.split("-"))
        return list(range(first, last + 1))
    return [int(part) for part in text.split(",")]
