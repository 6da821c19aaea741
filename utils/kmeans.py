"""K-means on the unit sphere."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_ROWS = 8192  # enough to place a few dozen centres
STEPS = 12


def spherical_kmeans(rows: Tensor, count: int, seed: int = 0) -> Tensor:
    """At most `count` unit centres [K, D] of unit rows [M, D], M >= 1, by cosine; the same for the same rows.

    Starts as k-means++ does (Arthur and Vassilvitskii 2007): rows that are far from all centres so far are likely to
    become the next one. Fewer centres come back when there are fewer distinct rows.
    """
    rows = rows[:: -(-len(rows) // MAX_ROWS)]
    centres = _spread_rows(rows, count, torch.Generator().manual_seed(seed))
    for _ in range(STEPS):
        nearest = (rows @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, rows)
        used = torch.bincount(nearest, minlength=len(centres)) > 0
        centres = torch.nn.functional.normalize(sums[used], dim=1)
    return centres


def _spread_rows(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Up to `count` rows, each drawn in proportion to its squared chord to the nearest of those before."""
    chosen = [rows[len(rows) // 2]]
    chord = 1.0 - rows @ chosen[0]  # half the squared chord
    while len(chosen) < count and float(chord.max()) > 1e-6:
        index = torch.multinomial(chord.clamp_min(0.0).cpu().double(), 1, generator=generator)
        chosen.append(rows[int(index)])
        chord = torch.minimum(chord, 1.0 - rows @ chosen[-1])
    return torch.stack(chosen)
