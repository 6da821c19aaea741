"""The procedural scenes: a still life of toys on a plaza, and the same toys in motion."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from examples.raytracer import Body, Pose, Solid, World
from examples.textures import bands, dots, gores, landscape, marble, painted, planks, plaza, zigzag

DOME_RADIUS = 6.0
PLAZA_RADIUS = 1.45
STAGE_RADIUS = 1.25  # ground of the scenes without a background; inside the usual [-1.3, 1.3] box


def turn_z(angle_rad: float) -> np.ndarray:
    """Rotation about z, [3, 3]."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def turn_y(angle_rad: float) -> np.ndarray:
    """Rotation about y, [3, 3]."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def at(x: float, y: float, z: float, angle_rad: float = 0.0) -> Callable[[float], Pose]:
    """A body that stands still, turned about z."""
    pose = Pose(turn_z(angle_rad), np.array([x, y, z]))
    return lambda _time: pose


def ball(label: int, pose: Callable[[float], Pose], moves: bool = False) -> Body:
    """Beach ball of radius 0.27, centre at the origin."""
    colours = ("#e5533d", "#f6efe2", "#f2b134", "#f6efe2", "#2a7fb8", "#f6efe2")
    return Body("ball", label, (Solid("ellipsoid", (0.27,) * 3, gores(colours, "#f6efe2"), gloss=0.6),), pose, moves)


def crate(label: int, pose: Callable[[float], Pose], moves: bool = False) -> Body:
    """Wooden crate of half size 0.23, centre at the origin."""
    return Body("crate", label, (Solid("box", (0.23,) * 3, planks("#d9a066", "#8a5a2b", 0.155)),), pose, moves)


def mushroom(label: int, pose: Callable[[float], Pose], moves: bool = False) -> Body:
    """Toadstool 0.52 high that stands on the origin."""
    stem = Solid("cylinder", (0.09, 0.09, 0.14), bands(("#d0604f", "#b64a41"), 0.07), (0.0, 0.0, 0.14))
    cap = Solid("ellipsoid", (0.27, 0.27, 0.17), dots("#c8262b", "#ea7a6a", 0.62, 0.17), (0.0, 0.0, 0.35), gloss=0.35)
    return Body("mushroom", label, (stem, cap), pose, moves)


def drum(label: int, pose: Callable[[float], Pose], moves: bool = False) -> Body:
    """Drum of radius 0.23 and height 0.34, centre at the origin."""
    texture = zigzag("#1f6f78", "#f4d58d", "#c8553d", 0.17)
    return Body("drum", label, (Solid("cylinder", (0.23, 0.23, 0.17), texture, gloss=0.2),), pose, moves)


def tower(label: int, pose: Callable[[float], Pose], moves: bool = False) -> Body:
    """Three toy blocks on one another, standing on the origin, 0.84 high."""
    sizes, colours = (0.17, 0.14, 0.11), (("#3f66b0", "#b9d0f0"), ("#e0a526", "#fff0c4"), ("#4f9d57", "#cdeac4"))
    solids, height = [], 0.0
    for half, (base, inlay) in zip(sizes, colours, strict=True):
        solids.append(Solid("box", (half,) * 3, painted(base, inlay, half), (0.0, 0.0, height + half), gloss=0.15))
        height += 2 * half
    return Body("blocks", label, tuple(solids), pose, moves)


def globe(label: int, pose: Callable[[float], Pose], moves: bool = False) -> Body:
    """Polished marble ball of radius 0.2, centre at the origin."""
    solid = Solid("ellipsoid", (0.2,) * 3, marble("#f2f0ea", "#3f5266", 8.0), gloss=0.8)
    return Body("marble", label, (solid,), pose, moves)


def egg(label: int, pose: Callable[[float], Pose], moves: bool = False) -> Body:
    """Painted egg 0.48 high, centre at the origin."""
    texture = bands(("#6a3d9a", "#8f5fc4", "#5b3590", "#a67ad2"), 0.085)
    return Body("egg", label, (Solid("ellipsoid", (0.17, 0.17, 0.24), texture, gloss=0.5),), pose, moves)


def ground(radius: float) -> Body:
    """The plaza, label 1, top at z = 0."""
    return Body("ground", 1, (Solid("disc", (radius, radius, 0.0), plaza(min(PLAZA_RADIUS, radius + 0.1))),))


def still_life(seed: int = 0, background: bool = True) -> World:
    """Seven toys on a plaza; `seed` moves them a little. `background` adds meadow, hills and sky (else empty)."""
    rng = np.random.default_rng(seed)

    def spot(x: float, y: float, z: float, angle_rad: float = 0.0) -> Callable[[float], Pose]:
        dx, dy = rng.uniform(-0.05, 0.05, 2)
        return at(x + dx, y + dy, z, angle_rad + rng.uniform(-0.4, 0.4))

    toys = (
        tower(2, spot(-0.12, 0.14, 0.0, 0.5)),
        ball(3, spot(0.62, 0.12, 0.27)),
        crate(4, spot(-0.62, -0.36, 0.23, 0.35)),
        mushroom(5, spot(0.08, -0.66, 0.0)),
        drum(6, spot(-0.82, 0.45, 0.17)),
        globe(7, spot(0.72, -0.62, 0.2)),
        egg(8, spot(0.38, 0.84, 0.24)),
    )
    if not background:
        return World((ground(STAGE_RADIUS), *toys))
    sky = Body("background", 0, (Solid("dome", (DOME_RADIUS,) * 3, landscape(DOME_RADIUS)),))
    return World((sky, ground(DOME_RADIUS), *toys))


def _bouncing(time: float) -> Pose:
    travel = 0.75 * math.sin(2 * math.pi * time)
    height = 0.27 + 0.42 * abs(math.sin(4 * math.pi * time + 0.4))
    return Pose(turn_y(travel / 0.27), np.array([travel, -0.66, height]))


def _sliding(time: float) -> Pose:
    return Pose(turn_z(0.3 + math.pi * time), np.array([-0.62 + 0.14 * math.sin(math.pi * time), 0.62, 0.23]))


def _rolling(time: float) -> Pose:
    path = np.array([-0.37, 0.95, 0.0])
    heading = math.atan2(path[1], path[0])
    spin = turn_z(heading) @ turn_y(float(np.linalg.norm(path)) * time / 0.2) @ turn_z(-heading)
    return Pose(spin, np.array([0.72, -0.1, 0.2]) + path * time)


def moving_toys(seed: int = 0, background: bool = False) -> World:
    """A bouncing ball, a sliding and turning crate and a rolling marble; a tower and a mushroom stand still."""
    nudge = np.random.default_rng(seed).uniform(-0.04, 0.04, 4)
    bodies = (
        ground(DOME_RADIUS if background else STAGE_RADIUS),
        tower(2, at(0.12 + nudge[0], 0.28 + nudge[1], 0.0, 0.5)),
        mushroom(3, at(-0.62 + nudge[2], -0.05 + nudge[3], 0.0)),
        ball(4, _bouncing, moves=True),
        crate(5, _sliding, moves=True),
        globe(6, _rolling, moves=True),
    )
    if not background:
        return World(bodies)
    sky = Body("background", 0, (Solid("dome", (DOME_RADIUS,) * 3, landscape(DOME_RADIUS)),))
    return World((sky, *bodies))
