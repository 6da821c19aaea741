"""How camera and time run through a moving scene: the modes of Deformable 3DGS's render.py (Yang et al. 2024).

Where the original blends rotation matrices linearly, these are slerped; where it circles at a fixed radius, the camera
goes around as the photographs were taken; and its wandering view, which left the scene, stays near what it looks at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from gaussian_renderer.trajectories import lerp_path, moved, orbit, slerp_path
from scene.cameras import Camera

WANDER_SHARE = 0.1  # of the picture's width, by which the surface moves to each side


@dataclass(frozen=True)
class TimeMode:
    """One value of --mode."""

    folder: str
    """Below <model>/<split>, with _<iteration> after it."""
    num_views: int
    """Unless --num_views says otherwise."""
    has_pictures: bool = True
    """False: a video only."""


TIME_MODES = {
    "time": TimeMode("interpolate", 150),
    "view": TimeMode("interpolate_view", 60),
    "all": TimeMode("interpolate_all", 150),
    "pose": TimeMode("interpolate_pose", 520, has_pictures=False),
    "original": TimeMode("interpolate_hyper_view", 1000, has_pictures=False),
}


def mode_path(mode: str, views: Sequence[Camera], chosen: Camera, distance: float, num_views: int) -> Iterator[Camera]:
    """The cameras of one mode.

    Args:
        mode: time: `chosen` stands still, time runs from 0 to 1; view: it wanders, time stands still; all: around the
            scene while time runs; pose: from the first view to the last at the first one's time; original: through all
            views in turn while time runs.
        views: photographed views, in the order of their names.
        chosen: one of them.
        distance: of the surface that `chosen` shows, world units; for `view`.
        num_views: number of cameras.
    """
    if mode == "time":
        return over_time(standing(chosen, num_views), num_views)
    if mode == "view":
        return wander(chosen, distance, num_views)
    if mode == "all":
        return over_time(orbit(views, num_views), num_views)
    if mode == "pose":
        return at_time(lerp_path(views, num_views), views[0].time)
    if mode == "original":
        return over_time(slerp_path(views, num_views), num_views)
    raise ValueError(f"mode is {mode!r}; expected one of {', '.join(TIME_MODES)}")


def over_time(path: Iterable[Camera], num_views: int) -> Iterator[Camera]:
    """The `num_views` cameras of a path while time runs evenly from 0 to 1; a single one is at 0."""
    for index, camera in enumerate(path):
        yield replace(camera, time=index / max(num_views - 1, 1))


def at_time(path: Iterable[Camera], time: float) -> Iterator[Camera]:
    """The cameras of a path, all at one moment in 0..1."""
    for camera in path:
        yield replace(camera, time=time)


def distinct_times(cameras: Sequence[Camera]) -> list[float]:
    """The moments of photographs, rising."""
    return sorted({camera.time for camera in cameras})


def is_moving(cameras: Sequence[Camera]) -> bool:
    """Whether photographs were taken at more than one moment."""
    return len(distinct_times(cameras)) > 1


def standing(view: Camera, num_views: int) -> Iterator[Camera]:
    """The same camera `num_views` times."""
    for index in range(num_views):
        yield moved(view, index, f"time_{index:05d}", view.world_to_camera, view.time)


def wander(view: Camera, distance: float, num_views: int) -> Iterator[Camera]:
    """`num_views` cameras on a closed ellipse about a view, turned as it is and at its time.

    It swings to each side until a surface at `distance` (world units) has moved by a tenth of the picture's width, and
    a third as far up and down, near and far.
    """
    reach = WANDER_SHARE * view.width / view.fx * distance
    for index in range(num_views):
        angle = 2 * math.pi * index / num_views
        across, along = reach * math.sin(angle), reach * math.cos(angle) / 3
        pose = view.world_to_camera.clone()
        pose[:3, 3] -= torch.tensor([across, along, along])  # camera axes: the eye moves, so points move the other way
        yield moved(view, index, f"wander_{index:05d}", pose, view.time)
