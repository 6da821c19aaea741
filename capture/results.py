"""The folder of results: parts appear whole, and only what an earlier run of ours wrote is ever replaced."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.files import read_json, write_json

MARKER = "convert.json"  # which parts convert.py made, and how


class ResultFolder:
    """Results of one conversion.

    Args:
        folder: where the parts go; made if it is missing.
        overwrite: whether parts of an earlier conversion may be replaced.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        self.folder, self.overwrite = folder, overwrite
        self.record: dict[str, Any] = {"complete": False, "parts": []}
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file; expected a folder; choose another --output")
        if (folder / MARKER).is_file():
            self.record["parts"] = list(read_json(folder / MARKER).get("parts", []))

    def check_free(self, parts: Sequence[str], cure: str = "") -> None:
        """Raise unless all of these parts may be written.

        Args:
            parts: names of files or folders.
            cure: what else than --overwrite would help, in words.
        """
        for name in parts:
            if not _is_occupied(self.folder / name):
                continue
            if name not in self.record["parts"]:
                advice = f"{cure or 'move it away'}, or choose another --output"
                raise UserError(f"{self.folder / name} exists and was not made by convert.py; {advice}")
            if not self.overwrite:
                advice = f"add --overwrite to replace it{cure and ', or '}{cure}"
                raise UserError(f"{self.folder / name} exists from an earlier run; {advice}")

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder beside the results in which they are made; whatever is left in it is removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=self.folder) as staging:
            yield Path(staging)

    def place(self, made: Path, name: str) -> Path:
        """Move a finished part to its place, and what was there to the staging folder."""
        self.check_free([name])
        target, earlier = self.folder / name, made.with_name(f".earlier-{uuid.uuid4().hex[:8]}")
        self.record["parts"] = sorted({*self.record["parts"], name})
        self._write()
        if target.exists():
            target.rename(earlier)
        made.rename(target)
        return target

    def drop(self, name: str, staging: Path) -> None:
        """Take away a part of an earlier run, which would not fit the new ones."""
        self.check_free([name])
        if (self.folder / name).exists():
            (self.folder / name).rename(staging / f".earlier-{uuid.uuid4().hex[:8]}")
        self.record["parts"] = [part for part in self.record["parts"] if part != name]
        self._write()

    def finish(self, facts: dict[str, Any]) -> None:
        """Leave the record of a whole conversion."""
        self.record |= facts | {"complete": True}
        self._write()

    def _write(self) -> None:
        write_json(self.folder / MARKER, self.record)


def _is_occupied(path: Path) -> bool:
    """Whether something would be lost; an empty folder is nothing."""
    return path.is_file() or (path.is_dir() and any(path.iterdir()))
