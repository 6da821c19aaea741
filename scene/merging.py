"""Several sets of Gaussians in one, and fewer or more colours by direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt

import numpy as np
import torch

from scene.formats import SplatArrays
from scene.neighbour_graph import nearest_neighbours
from utils.progress import warn
from utils.spherical_harmonics import num_sh_coefficients

INVISIBLE = 1 / 255  # opacity below which the rasterizer draws nothing
FAR_NEIGHBOURS = 8
FAR_FACTOR = 20.0  # mean distances from the neighbours beyond the median, from which a Gaussian is alone


def sh_degree_of(arrays: SplatArrays) -> int:
    """Degree of the colours by direction."""
    return isqrt(arrays.f_rest.shape[1] + 1) - 1


def with_sh_degree(arrays: SplatArrays, degree: int) -> SplatArrays:
    """The same Gaussians with coefficients up to `degree`: higher ones are left out, absent ones are 0."""
    wanted, count = num_sh_coefficients(degree) - 1, len(arrays)
    rest = np.zeros((count, wanted, 3), np.float32)
    kept = min(wanted, arrays.f_rest.shape[1])
    rest[:, :kept] = arrays.f_rest[:, :kept]
    return replace(arrays, f_rest=rest)


def merged(parts: Sequence[SplatArrays]) -> SplatArrays:
    """All Gaussians, part after part, with the highest SH degree of them.

    Features are kept if all parts have as many channels. What a motion keeps about Gaussians is left out.
    """
    degree = max(map(sh_degree_of, parts))
    parts = [replace(with_sh_degree(part, degree), motion_code=None) for part in parts]
    widths = {None if part.semantic_feature is None else part.semantic_feature.shape[1] for part in parts}
    if len(widths) > 1:
        found = ", ".join(str(width or "none") for width in sorted(widths, key=lambda width: width or 0))
        warn(f"features of different widths ({found}) cannot be merged; left out")
        parts = [replace(part, semantic_feature=None) for part in parts]
    names = parts[0].named()
    return SplatArrays(**{name: np.concatenate([part.named()[name] for part in parts]) for name in names})


def worth_keeping(arrays: SplatArrays) -> np.ndarray:
    """[N] bool: whether a Gaussian can be seen and is not alone far away from all others.

    Alone is who is `FAR_FACTOR` times farther from its neighbours, on average, than the middle one of all is.
    """
    logit = np.log(INVISIBLE / (1 - INVISIBLE))
    keep = arrays.opacity[:, 0] >= logit
    if keep.sum() <= FAR_NEIGHBOURS + 1:
        return keep
    points = arrays.xyz[keep].astype(np.float64)
    neighbours = nearest_neighbours(torch.from_numpy(points), FAR_NEIGHBOURS)
    distance = np.linalg.norm(points[neighbours] - points[:, None], axis=2).mean(axis=1)
    middle = float(np.median(distance))
    near = distance <= (FAR_FACTOR * middle if middle > 0 else np.inf)
    keep[np.flatnonzero(keep)[~near]] = False
    return keep
