"""Exposures: how bright and of what tint a photograph came out, as a 3x4 colour matrix per image name.

A row of colours c becomes c E[:, :3] + E[:, 3] (graphdeco's convention: the transpose of the usual reading).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from utils.errors import UserError
from utils.files import read_json, write_json

FILE_NAME = "exposure.json"


def identity(device: torch.device | str = "cpu") -> Tensor:
    """[3, 4]: the exposure that changes nothing."""
    return torch.eye(3, 4, device=device)


def exposed(
    color: Tensor,  # [3, H, W] rendered on the background
    alpha: Tensor,  # [1, H, W] rendered
    exposure: Tensor,  # [3, 4]
    background: Tensor | None = None,  # [3]; None = black
) -> Tensor:
    """The colours [3, H, W] as the photograph shows them; what shines through of the background stays as it is."""
    behind = 0.0 if background is None else background[:, None, None] * (1 - alpha)
    tinted = torch.einsum("chw,cd->dhw", color - behind, exposure[:, :3])
    return tinted + exposure[:, 3, None, None] * alpha + behind


@dataclass(frozen=True, eq=False)
class Exposures:
    """The exposures of a trained model."""

    by_name: Mapping[str, Tensor]  # image name -> [3, 4]

    @classmethod
    def load(cls, model_path: Path | str, device: torch.device | str = "cpu") -> Exposures:
        """What `save` wrote into a model folder, or graphdeco's 3DGS; empty without such a file.

        Raises:
            UserError: the file is something else.
        """
        path = Path(model_path) / FILE_NAME
        if not path.is_file():
            return cls({})
        rows = read_json(path)
        try:
            found = {name: torch.tensor(row, dtype=torch.float32, device=device) for name, row in rows.items()}
        except (AttributeError, TypeError, ValueError):
            found = None
        if found is None or any(matrix.shape != (3, 4) or not matrix.isfinite().all() for matrix in found.values()):
            raise UserError(f"{path}: expected a 3x4 matrix of numbers for each image name; restore it or delete it")
        return cls(found)

    def save(self, model_path: Path | str) -> None:
        """Write `exposure.json`."""
        write_json(Path(model_path) / FILE_NAME, self.by_name)

    def of(self, image_name: str) -> Tensor | None:
        """[3, 4] of an image; None where it is not known, which means identity."""
        return self.by_name.get(image_name)
