"""`teacher.json` in a model folder: whose features the Gaussians carry. Text queries need to know."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.files import read_json, write_json

FILE_NAME = "teacher.json"


@dataclass(frozen=True)
class TeacherRecord:
    """A teacher as far as its features are concerned."""

    name: str
    """Registered name, e.g. lseg; empty = unknown."""
    dim: int
    """C, channels of the teacher's space (after decoding)."""
    options: dict[str, Any] = field(default_factory=dict)
    """What besides the pictures decided its maps; empty for maps made by other programs."""

    def save(self, model_path: str | Path) -> None:
        """Write the record into a model folder."""
        write_json(Path(model_path) / FILE_NAME, asdict(self))

    @classmethod
    def load(cls, model_path: str | Path, name: str, dim: int) -> TeacherRecord:
        """The record of a model folder; for a model of another program what its options say (`name`, `dim`)."""
        path = Path(model_path) / FILE_NAME
        if not path.is_file():
            return cls(name, dim)
        data = read_json(path)
        types = {"name": str, "dim": int, "options": dict}
        if not isinstance(data, dict) or any(not isinstance(data.get(key), kind) for key, kind in types.items()):
            raise UserError(f"{path}: expected name, dim and options of a teacher; delete it or train again")
        return cls(data["name"], data["dim"], data["options"])
