"""An order of points in which neighbours in space are mostly neighbours in the list."""

from __future__ import annotations

import numpy as np

BITS = 21  # for each axis: three of them fill 64 bits
_SPREAD = (
    (32, 0x1F00000000FFFF),
    (16, 0x1F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)


def morton_order(points: np.ndarray) -> np.ndarray:
    """Indices [N] that put finite points [N, 3] into the order of the Z-shaped curve through their box."""
    if len(points) == 0:
        return np.zeros(0, np.intp)
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    width = np.where(high > low, high - low, 1)
    cells = ((points - low) / width * ((1 << BITS) - 1)).astype(np.uint64)
    code = np.zeros(len(points), np.uint64)
    for axis in range(3):
        code |= _spread(cells[:, axis]) << np.uint64(axis)
    return np.argsort(code, kind="stable")


def _spread(values: np.ndarray) -> np.ndarray:
    """Two zero bits between the bits of each 21-bit number."""
    for shift, mask in _SPREAD:
        values = (values | values << np.uint64(shift)) & np.uint64(mask)
    return values
