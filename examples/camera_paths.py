"""Where the cameras of the procedural scenes stand (world z up, OpenCV camera axes)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch

from examples.raytracer import View
from utils.transforms import fov_to_focal, look_at

ORBIT_SHIFT = 4  # with every 8th picture held out, none of them is at the open end of the orbit
ELEVATIONS_DEG = (13.0, 28.0, 44.0)


def view_from(angles_deg: tuple[float, float], radius: float, fov_deg: float, size: tuple[int, int], time: float = 0.0):
    """View at (azimuth, elevation) in degrees and `radius` around (0, 0, 0.15); `size` = (width, height) px."""
    azimuth, elevation = (math.radians(angle) for angle in angles_deg)
    level = radius * math.cos(elevation)
    eye = (level * math.cos(azimuth), level * math.sin(azimuth), radius * math.sin(elevation) + 0.15)
    vectors = [torch.tensor(v, dtype=torch.float64) for v in (eye, (0.0, 0.0, 0.15), (0.0, 0.0, 1.0))]
    return View(look_at(*vectors).numpy(), fov_to_focal(math.radians(fov_deg), size[0]), *size, time=time)


def orbit(count: int, size: tuple[int, int], arc_deg: float = 200.0, radius: float = 3.0, start_deg: float = -160.0):
    """`count` views on a partial orbit; neighbours in order stand at different heights, so held-out ones lie inside."""
    views = []
    for index in range(count):
        step = (index + ORBIT_SHIFT) % count
        azimuth = start_deg + arc_deg * step / max(count - 1, 1)
        views.append(view_from((azimuth, ELEVATIONS_DEG[step % 3]), radius, 52.0, size))
    return views


def hemisphere(count: int, size: tuple[int, int], seed: int, times: Iterable[float] | None = None) -> list[View]:
    """`count` views over the upper hemisphere on a golden-angle spiral; `seed` gives its first angle."""
    start = float(np.random.default_rng(seed).uniform(0, 360))
    moments = list(times) if times is not None else [0.0] * count
    views = []
    for index, time in enumerate(moments):
        turn = start + index * 137.50776
        height = 0.18 + 0.62 * ((index * 0.754877) % 1)  # sine of the elevation
        views.append(view_from((turn % 360, math.degrees(math.asin(height))), 3.3, 45.0, size, time))
    return views


def moving_camera(times: np.ndarray, size: tuple[int, int], turns: float = 2.0, phase_deg: float = 0.0) -> list[View]:
    """One camera that circles `turns` times while it swings up and down; one view per time in [0, 1]."""
    views = []
    for time in times:
        elevation = 32 + 16 * math.sin(2 * math.pi * 3.5 * time + math.radians(phase_deg))
        views.append(view_from((phase_deg + 360 * turns * time, elevation), 3.3, 45.0, size, float(time)))
    return views


def rig(count: int, size: tuple[int, int]) -> list[View]:
    """`count` fixed cameras around the stage at two heights, each with a slightly different focal length."""
    heights = (20.0, 42.0)
    return [
        view_from((360 * index / count, heights[index % 2]), 3.1, 50.0 + 0.6 * (index % 4), size)
        for index in range(count)
    ]
