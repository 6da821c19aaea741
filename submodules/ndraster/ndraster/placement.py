"""Where the cells of a small map lie on an image, and reading a map between its pixels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ndraster.types import PinholeCamera


class CellGrid(NamedTuple):
    """Cell (i, j) of a map is centred at column start_x + j step_x and row start_y + i step_y of an image.

    Positions are in pixels, counted from the centre of the first pixel; what lies outside the image reads its border.
    """

    start_x: float
    step_x: float
    start_y: float
    step_y: float

    @classmethod
    def corners(cls, size: tuple[int, int], camera: PinholeCamera) -> CellGrid:
        """The corner cells of a map (h, w) lie on the corner pixels (`align_corners=True`)."""

        def step(cells: int, pixels: int) -> float:
            return (pixels - 1) / (cells - 1) if cells > 1 else 0.0

        return cls(0.0, step(size[1], camera.width), 0.0, step(size[0], camera.height))

    @classmethod
    def of_fractions(cls, x0: float, dx: float, y0: float, dy: float, camera: PinholeCamera) -> CellGrid:
        """From centres in widths and heights of the image, edge to edge: x0 + j dx in 0..1."""
        width, height = camera.width, camera.height
        return cls(x0 * width - 0.5, dx * width, y0 * height - 0.5, dy * height)

    @classmethod
    def edge_to_edge(cls, size: tuple[int, int], camera: PinholeCamera) -> CellGrid:
        """Equal cells (h, w) cover the image (`align_corners=False`)."""
        height, width = size
        return cls.of_fractions(0.5 / width, 1 / width, 0.5 / height, 1 / height, camera)

    def inverse(self) -> CellGrid:
        """Where the image's pixels lie on the map: pixel j is centred at cell start_x + j step_x."""
        start_x, step_x, start_y, step_y = self
        across = (-start_x / step_x, 1 / step_x) if step_x > 0 else (0.0, 0.0)
        down = (-start_y / step_y, 1 / step_y) if step_y > 0 else (0.0, 0.0)
        return CellGrid(*across, *down)


def read_bilinear(rows: Tensor, grid: CellGrid, size: tuple[int, int]) -> Tensor:
    """A map [C, h, w] = `size`, read bilinearly from [C, H, W] at the centres of the cells; differentiable."""
    rows = _read_axis(rows, 1, grid.start_y, grid.step_y, size[0])
    return _read_axis(rows, 2, grid.start_x, grid.step_x, size[1])


def _read_axis(rows: Tensor, axis: int, start: float, step: float, count: int) -> Tensor:
    last = rows.shape[axis] - 1
    at = (start + step * torch.arange(count, device=rows.device, dtype=torch.float64)).clamp(0, last)
    low = at.long()
    share = (at - low).to(rows.dtype).reshape([-1 if d == axis else 1 for d in range(rows.ndim)])
    return torch.lerp(rows.index_select(axis, low), rows.index_select(axis, (low + 1).clamp_max(last)), share)
