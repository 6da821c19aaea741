"""How a picture lies in the square that SAM looks at: 1024 px along its longer side, top left, padding around it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from encoders.base import Placement
from utils.errors import UserError

SIDE_PX = 1024
CELL_PX = 16
GRID = SIDE_PX // CELL_PX  # cells of an embedding along each side


@dataclass(frozen=True)
class Frame:
    """A picture of `width` x `height` px in SAM's square.

    Raises:
        UserError: a side is not positive.
    """

    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1:
            raise UserError(f"picture size is {self.width}x{self.height}; expected positive sides; check the picture")

    @property
    def shown(self) -> tuple[int, int]:
        """(width, height) px of the scaled picture in the square."""
        scale = SIDE_PX / max(self.width, self.height)
        return max(1, int(self.width * scale + 0.5)), max(1, int(self.height * scale + 0.5))

    @property
    def cells(self) -> tuple[int, int]:
        """(columns, rows) of the cells whose centres lie on the picture, at least one each."""
        columns, rows = ((side + CELL_PX // 2 - 1) // CELL_PX for side in self.shown)
        return max(1, columns), max(1, rows)

    @property
    def placement(self) -> Placement:
        """Where the cells lie on the picture."""
        width, height = self.shown
        return Placement(0.5 * CELL_PX / width, CELL_PX / width, 0.5 * CELL_PX / height, CELL_PX / height)

    def normalised(self, points: Tensor) -> Tensor:
        """Pixels (x, y) [..., 2] of the picture as places in the square, 0..1.

        Pixels are counted as SAM does it: scaled first, then moved to the centre of the pixel of the square.
        """
        shown = torch.tensor(self.shown, dtype=torch.float32, device=points.device)
        size = torch.tensor((self.width, self.height), dtype=torch.float32, device=points.device)
        return (points.float() * (shown / size) + 0.5) / SIDE_PX


def require_embedding(embedding: Tensor) -> None:
    """Raise UserError unless `embedding` is [256, 64, 64]."""
    if tuple(embedding.shape) != (256, GRID, GRID):
        raise UserError(
            f"SAM embedding has shape {tuple(embedding.shape)}; expected (256, {GRID}, {GRID}), padding included; "
            "make it with embed() or rendered_embedding()"
        )
