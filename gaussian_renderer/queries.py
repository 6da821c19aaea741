"""Which points are asked for: pixels of views, or places in space at a moment; from a file, or a grid on what moves."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gaussian_renderer import RenderSettings, render
from gaussian_renderer.feature_basis import evenly_spread
from gaussian_renderer.point_queries import (
    CarrierRules,
    Carriers,
    carriers_of_pixels,
    carriers_of_points,
    foreground,
    knows_foreground,
)
from gaussian_renderer.tracks import read_arrays
from gaussian_renderer.view_paths import find_view
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from utils.errors import UserError
from utils.files import read_json

ROWS = "view,x,y (a pixel) or x,y,z,time (a point)"
MOVED = 0.01  # of the scene's radius, from which a Gaussian counts as moving
MOMENTS = 9  # at which that is looked at


@dataclass(frozen=True)
class PixelQuery:
    """What a view shows at a pixel."""

    view: str  # image name, or number in the order of names
    x: float  # px, the first pixel's centre is at 0.5
    y: float


@dataclass(frozen=True)
class PointQuery:
    """A place at a moment."""

    point: tuple[float, float, float]  # world units
    time: float  # 0..1


Query = PixelQuery | PointQuery


def resolve(
    queries: Sequence[Query],
    model: GaussianModel,
    cameras: Sequence[Camera],
    rules: CarrierRules,
    settings: RenderSettings,
) -> Carriers:
    """The carriers of all queries, in their order; each view is rendered once."""
    groups: dict[str | None, list[int]] = {}
    for index, query in enumerate(queries):
        groups.setdefault(query.view if isinstance(query, PixelQuery) else None, []).append(index)
    parts = []
    for view, members in groups.items():
        asked = [queries[index] for index in members]
        if view is None:
            points = torch.tensor([query.point for query in asked])
            times = torch.tensor([query.time for query in asked], dtype=torch.float64)
            parts.append(carriers_of_points(model, points, times, rules))
        else:
            pixels = torch.tensor([[query.x, query.y] for query in asked])
            parts.append(carriers_of_pixels(model, find_view(cameras, view, "the view"), pixels, rules, settings))
    order = torch.tensor([index for members in groups.values() for index in members])
    return Carriers.joined(parts).rows(order.argsort())


@torch.no_grad()
def grid_queries(
    camera: Camera, model: GaussianModel, count: int, moving: Tensor, settings: RenderSettings
) -> list[PixelQuery]:
    """The middles of square cells, `count` in the picture's width, whose surface is of `moving` Gaussians [N] bool.

    Raises:
        UserError: there are none.
    """
    medians = render(camera, model, settings=settings).median_ids.cpu()
    moving = moving.cpu()
    cell = camera.width / count
    pixels = [
        ((column + 0.5) * cell, (row + 0.5) * cell)
        for row in range(max(1, round(camera.height / cell)))
        for column in range(count)
        if (row + 0.5) * cell < camera.height
    ]
    ids = [int(medians[int(y), int(x)]) for x, y in pixels]
    found = [PixelQuery(camera.image_name, *at) for at, id in zip(pixels, ids, strict=True) if id >= 0 and moving[id]]
    if not found:
        raise UserError(
            f"nothing that moves is under the {len(pixels)} points of the grid in {camera.image_name}; "
            "expected some; take a finer --grid or another --view"
        )
    return found


@torch.no_grad()
def moving_gaussians(model: GaussianModel, times: Sequence[float], radius: float) -> Tensor:
    """Which Gaussians [N] bool move: the foreground, or where a model knows none, what leaves its first place.

    Args:
        radius: of the scene, world units.
    """
    if knows_foreground(model):
        return foreground(model)
    places = torch.stack([model.at(time).means for time in evenly_spread(times, MOMENTS)])
    return (places - places[0]).norm(dim=-1).amax(0) > MOVED * radius


def read_queries(path: Path) -> list[Query]:
    """Queries of a file.

    | ending | content |
    |---|---|
    | .csv | columns `view,x,y` for pixels, `x,y,z,time` for points; with all of them, a row with a view is a pixel |
    | .json | a list of objects with these keys |
    | .npz | `query_points` [P, 3] and `query_times` [P], as in the tracks.npz of an earlier run |

    Raises:
        UserError: one line about the file, or about the first row that is none.
    """
    readers = {".csv": _csv_rows, ".json": _json_rows, ".npz": _npz_rows}
    if path.suffix not in readers:
        raise UserError(f"{path}: expected queries as .csv, .json or .npz; check --queries")
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected queries, {ROWS}; check --queries")
    queries = [_query(path, number, row) for number, row in enumerate(readers[path.suffix](path), start=1)]
    if not queries:
        raise UserError(f"{path} has no rows; expected {ROWS}; add some")
    return queries


def _csv_rows(path: Path) -> Iterator[Mapping]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield from ({key: value for key, value in row.items() if value} for row in csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no readable .csv ({error}); expected {ROWS}") from None


def _json_rows(path: Path) -> Sequence[Mapping]:
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise UserError(f"{path}: expected a list of objects with {ROWS}; see docs/track.md")
    return rows


def _npz_rows(path: Path) -> list[Mapping]:
    arrays = read_arrays(path, ("query_points", "query_times"))
    points, times = arrays["query_points"], arrays["query_times"]
    if points.ndim != 2 or points.shape[1] != 3 or times.shape != points.shape[:1]:
        raise UserError(f"{path}: query_points is {points.shape}, query_times {times.shape}; expected [P, 3] and [P]")
    return [dict(zip("xyz", row, strict=True)) | {"time": time} for row, time in zip(points, times, strict=True)]


def _query(path: Path, number: int, row: Mapping) -> Query:
    try:
        if "view" in row:
            return PixelQuery(str(row["view"]), _number(row["x"]), _number(row["y"]))
        point = (_number(row["x"]), _number(row["y"]), _number(row["z"]))
        return PointQuery(point, _moment(row["time"]))
    except (KeyError, TypeError, ValueError) as error:
        reason = f"no {error.args[0]}" if isinstance(error, KeyError) else f"{error}"
        raise UserError(f"{path} row {number}: {reason}; expected {ROWS}; change it") from None


def _number(value: object) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no finite number")
    return number


def _moment(value: object) -> float:
    time = _number(value)
    if not 0 <= time <= 1:
        raise ValueError(f"time is {time:g}, not in 0 to 1")
    return time
