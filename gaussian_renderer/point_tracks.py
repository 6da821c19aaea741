"""Where queried points are at every moment, and which cameras see them there: `tracks.npz`, `tracks.csv`, videos."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gaussian_renderer import RenderSettings
from gaussian_renderer.anchors import project
from gaussian_renderer.frames import Frame, Sink, render_frames
from gaussian_renderer.point_queries import Carriers
from gaussian_renderer.tails import seen_points
from gaussian_renderer.view_paths import ViewPath
from scene.gaussian_model import GaussianModel
from utils.files import atomic_path
from utils.progress import Progress

BEHIND = 0.01  # of the scene's radius: how far behind what is rendered a point still counts as seen


@dataclass(frozen=True)
class PointTracks:
    """P points over T moments, seen by C cameras."""

    times: np.ndarray  # [T] float64 rising, 0..1
    points: np.ndarray  # [T, P, 3] float32 world units
    cameras: np.ndarray  # [C] names
    pixels: np.ndarray  # [T, C, P, 2] float32; the first pixel's centre is at 0.5; NaN behind the camera
    visible: np.ndarray  # [T, C, P] bool: in the picture, and nothing in front
    query_points: np.ndarray  # [P, 3] where they were asked for, world units
    query_times: np.ndarray  # [P] when
    carriers: np.ndarray  # [P, m] rows of the model
    static: np.ndarray  # [P] bool: taken for background

    def of_cameras(self, count: int) -> PointTracks:
        """The tracks in the first `count` cameras."""
        views = {name: getattr(self, name)[:, :count] for name in ("pixels", "visible")}
        return replace(self, cameras=self.cameras[:count], **views)

    def save(self, folder: Path) -> None:
        """Write `tracks.npz` and `tracks.csv`."""
        with atomic_path(folder / "tracks.npz") as temp, open(temp, "wb") as file:
            np.savez_compressed(file, **vars(self))
        with atomic_path(folder / "tracks.csv") as temp, open(temp, "w", newline="", encoding="utf-8") as file:
            self._write_table(csv.writer(file))

    def _write_table(self, writer) -> None:
        """One row for each point and moment."""
        seen_by = [f"{column}_{name}" for name in self.cameras for column in ("x", "y", "visible")]
        writer.writerow(["point", "moment", "time", "x", "y", "z", *seen_by])
        for point in range(self.points.shape[1]):
            for moment, time in enumerate(self.times):
                pixels, visible = self.pixels[moment, :, point], self.visible[moment, :, point]
                views = [
                    entry for (x, y), seen in zip(pixels, visible, strict=True) for entry in (_px(x), _px(y), int(seen))
                ]
                place = [f"{value:.6g}" for value in self.points[moment, point]]
                writer.writerow([point, moment, f"{time:.6g}", *place, *views])


def _px(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


@torch.no_grad()
def follow(model: GaussianModel, carriers: Carriers, times: Sequence[float]) -> Tensor:
    """Places [T, P, 3] of carried points at these times, on the model's device."""
    return torch.stack([carriers.at(model.at(time)) for time in times])


@dataclass(frozen=True)
class Watch:
    """How points are looked at."""

    model: GaussianModel
    settings: RenderSettings
    background: Tensor  # [3]
    slack: float
    """World units that a point may lie behind what is rendered."""

    def observe(
        self, points: Tensor, paths: Sequence[ViewPath], films: Callable[[ViewPath], Sequence[Sink]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels [T, C, P, 2] and visibility [T, C, P] of world points [T, P, 3] along paths of T cameras each.

        `films` are further sinks for the frames of a path, each of which is rendered once.
        """
        sinks = [_Sightings(points, self.slack) for _ in paths]
        with Progress(len(paths)) as progress:
            for number, (path, sightings) in enumerate(zip(paths, sinks, strict=True), start=1):
                outputs = [sightings, *films(path)]
                render_frames(path.cameras, self.model, outputs, background=self.background, settings=self.settings)
                progress.update(number, camera=path.name)
        pixels, visible = zip(*((torch.stack(sink.pixels), torch.stack(sink.visible)) for sink in sinks), strict=True)
        return torch.stack(pixels, 1).cpu().numpy(), torch.stack(visible, 1).cpu().numpy()


class _Sightings:
    """Keeps where and whether each frame shows the points of its moment."""

    needs_features = False

    def __init__(self, points: Tensor, slack: float) -> None:
        self.points, self.slack = points, slack
        self.pixels: list[Tensor] = []
        self.visible: list[Tensor] = []

    def __enter__(self) -> _Sightings:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def add(self, frame: Frame) -> None:
        """Look at the points of the frame's moment."""
        points = self.points[frame.index]
        pixels, depth = project(frame.camera, points)
        self.pixels.append(torch.where(depth[:, None] > 0, pixels, torch.nan))
        self.visible.append(seen_points(frame.camera, frame.output.median_depth, points, self.slack))


def as_tracks(
    carriers: Carriers,
    times: Sequence[float],
    points: Tensor,
    paths: Sequence[ViewPath],
    seen: tuple[np.ndarray, np.ndarray],
) -> PointTracks:
    """What is written of points [T, P, 3] and of what `observe` returned."""
    return PointTracks(
        times=np.array(times, np.float64),
        points=points.float().cpu().numpy(),
        cameras=np.array([path.name for path in paths]),
        pixels=seen[0],
        visible=seen[1],
        query_points=carriers.points.cpu().numpy(),
        query_times=carriers.times.numpy(),
        carriers=carriers.ids.cpu().numpy(),
        static=carriers.static.cpu().numpy(),
    )
