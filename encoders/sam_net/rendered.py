"""Embeddings for SAM's decoder from feature maps that were rendered, not encoded."""

from __future__ import annotations

import torch
from torch import Tensor

from encoders.sam_net.frame import CELL_PX, GRID, Frame
from utils.errors import UserError

CHANNELS = 256


def rendered_embedding(
    rendered: Tensor, size: tuple[int, int], padding: Tensor | None = None, average: bool = True
) -> Tensor:
    """Embedding [256, 64, 64] as the encoder would have made it of the picture that `rendered` shows.

    Every cell that lies on the picture is the mean of the map over the cell's own area, or, where the map is coarser
    than the cells, the linear interpolation at the cell's centre. Magnitudes count: no map that was normalised.

    Args:
        rendered: map [256, h, w], edge to edge on the picture, already decoded when the scene has a decoder.
        size: (width, height) of the picture, px.
        padding: [256, 64, 64]; its cells beside the picture are used as they are, e.g. those of `embed` for one picture
            of the same shape. None = zeros, which the decoder has never seen.
        average: False = always the linear interpolation, which is what training compares with the teacher.

    Raises:
        UserError: `rendered` is no map of 256 channels.
    """
    if rendered.ndim != 3 or rendered.shape[0] != CHANNELS or 0 in rendered.shape:
        raise UserError(
            f"rendered SAM features have shape {tuple(rendered.shape)}; expected (256, h, w); "
            "train with -f sam, and decode the map first where there is a decoder"
        )
    return _padded(sample_cells(rendered.float(), Frame(*size), average), padding)


def token_embedding(tokens: Tensor, size: tuple[int, int], padding: Tensor | None = None) -> Tensor:
    """Embedding [256, 64, 64] from values [256, rows, columns] that already stand for the cells on the picture."""
    columns, rows = Frame(*size).cells
    if tuple(tokens.shape) != (CHANNELS, rows, columns):
        raise UserError(
            f"SAM cells have shape {tuple(tokens.shape)}; a {size[0]}x{size[1]} picture has {(CHANNELS, rows, columns)}"
        )
    return _padded(tokens.float(), padding)


def _padded(cells: Tensor, padding: Tensor | None) -> Tensor:
    embedding = cells.new_zeros(CHANNELS, GRID, GRID) if padding is None else padding.to(cells).clone()
    embedding[:, : cells.shape[1], : cells.shape[2]] = cells
    return embedding


def sample_cells(rendered: Tensor, frame: Frame, average: bool = True) -> Tensor:
    """Values [C, rows, columns] of the cells on the picture from a map [C, h, w] that covers it edge to edge."""
    (columns, rows), (width, height) = frame.cells, frame.shown
    across = cell_weights(columns, width, rendered.shape[2], average).to(rendered)
    down = cell_weights(rows, height, rendered.shape[1], average).to(rendered)
    return down @ rendered @ across.T


def cell_weights(cells: int, shown_px: int, pixels: int, average: bool = True) -> Tensor:
    """How much each pixel of a map counts for each cell, along one axis: [cells, pixels], rows sum to 1.

    A box around the cell's centre is laid over the pixels. It is as wide as the cell, but at least one pixel: then the
    overlaps are the weights of linear interpolation.

    Args:
        cells: number of cells.
        shown_px: length of the picture in SAM's square, px.
        pixels: of the map, which covers the whole picture.
        average: False = a box of one pixel.
    """
    pixels_per_frame_px = pixels / shown_px
    centres = (torch.arange(cells, dtype=torch.float64) + 0.5) * CELL_PX * pixels_per_frame_px
    half = max(CELL_PX * pixels_per_frame_px, 1.0) / 2 if average else 0.5
    edges = torch.arange(pixels + 1, dtype=torch.float64)
    covered = edges.clamp((centres - half)[:, None], (centres + half)[:, None]).diff(dim=1)
    return covered / covered.sum(dim=1, keepdim=True)
