"""Points that move as a `.usda` text file, for Blender, Houdini, Omniverse and whatever else reads USD."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils.files import atomic_path

PRIM = "tracks"
WIDTH = 0.005  # diameter of a point, share of the diagonal of the box around all of them


def write_usd_points(
    path: Path,
    points: np.ndarray,  # [T, P, 3] world units
    colors: np.ndarray,  # [P, 3] RGB, 0..1
    fps: int,
    metres_per_unit: float = 1.0,
) -> None:
    """Write one `Points` prim whose time code t is moment number t; the same point keeps its place and its id."""
    with atomic_path(path) as temp, open(temp, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in _lines(points, colors, fps, metres_per_unit))


def _lines(points: np.ndarray, colors: np.ndarray, fps: int, metres_per_unit: float) -> Iterator[str]:
    last, count = len(points) - 1, points.shape[1]
    low, high = _box(points)
    yield "#usda 1.0"
    yield "("
    yield f'    defaultPrim = "{PRIM}"'
    yield f"    startTimeCode = 0\n    endTimeCode = {last}"
    yield f"    timeCodesPerSecond = {fps}\n    framesPerSecond = {fps}"
    yield f"    metersPerUnit = {_number(metres_per_unit)}"
    yield ")\n"
    yield f'def Points "{PRIM}"'
    yield "{"
    yield f"    float3[] extent = [{_tuple(low)}, {_tuple(high)}]"
    yield f"    int64[] ids = [{', '.join(map(str, range(count)))}]"
    yield "    point3f[] points.timeSamples = {"
    for moment, places in enumerate(points):
        yield f"        {moment}: {_array(places)},"
    yield "    }"
    yield f"    color3f[] primvars:displayColor = {_array(colors)} ("
    yield '        interpolation = "vertex"\n    )'
    yield f"    float[] widths = [{_number(WIDTH * float(np.linalg.norm(high - low)) or WIDTH)}] ("
    yield '        interpolation = "constant"\n    )'
    yield "}"


def _box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest corner [3] of the box around all points at all moments; of none the origin."""
    flat = points.reshape(-1, 3)
    return (flat.min(0), flat.max(0)) if len(flat) else (np.zeros(3), np.zeros(3))


def _array(rows: np.ndarray) -> str:
    return f"[{', '.join(map(_tuple, rows))}]"


def _tuple(row: np.ndarray) -> str:
    return f"({', '.join(map(_number, row))})"


def _number(value: float) -> str:
    """Enough digits for every bit of a float32."""
    return f"{value:.9g}"
