"""Photographs beside renders: put where they belong on the canvas, then split or blended."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from scene.cameras import Camera

COMPARISONS = ("off", "split", "blend")
EDGE_PX = 2  # width of the white line of a split


def placed(photo: Tensor, view: Camera, canvas: Camera) -> tuple[Tensor, Tensor]:
    """A photograph [3, h, w] on a canvas of the same pose: [3, H, W], and the mask [1, H, W] of where it is."""
    columns = torch.arange(canvas.width, device=photo.device) + 0.5
    rows = torch.arange(canvas.height, device=photo.device) + 0.5
    x = (columns - canvas.cx) / canvas.fx * view.fx + view.cx  # px of the photograph
    y = (rows - canvas.cy) / canvas.fy * view.fy + view.cy
    grid = torch.stack(torch.meshgrid(2 * x / view.width - 1, 2 * y / view.height - 1, indexing="xy"), dim=-1)
    drawn = F.grid_sample(photo[None], grid[None].to(photo), padding_mode="border", align_corners=False)[0]
    inside = (grid.abs() <= 1).all(-1)[None].to(photo)
    return drawn, inside


def compared(render: Tensor, photo: Tensor, inside: Tensor, how: str, share: float) -> Tensor:
    """A render [3, H, W] with the photograph on the left `share` of it, or shining through by it; only `inside`."""
    if how == "blend":
        return render + share * inside * (photo - render)
    if how != "split":
        return render
    edge = round(share * render.shape[2])
    columns = torch.arange(render.shape[2], device=render.device)
    result = torch.where((columns < edge) & (inside > 0), photo, render)
    line = ((columns - edge).abs() < EDGE_PX) & (inside > 0)
    return torch.where(line, torch.ones_like(result), result)
