"""The procedural rig for tracking: things that fall, hop, roll, slide and swing at the pace of a 30 fps recording.

One unit is a metre and one time step 1/30 s, so that more steps show more of the motion at the same speed. Nothing
moves more than about 0.13 m in a step (5 % of the stage) and all that moves has detail everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from examples.procedural import DOME_RADIUS, at, ground, mushroom, tower, turn_y, turn_z
from examples.raytracer import Body, Pose, Solid, World
from examples.textures import bands, gores, landscape, marble, painted, planks, speckled, zigzag

STEP_SEC = 1 / 30
GRAVITY = 9.8  # m/s^2
KEPT_SPEED = 0.7  # share of the speed that a bounce leaves
REST_SPEED = 0.2  # m/s; slower bounces are not made
BRAKING_SEC = 1.2  # after which drift and spin of a bouncing body have dropped to 37 %
WAITING_HEIGHT = 5.4  # of the newcomer: above all pictures, below the dome, and beyond the lamp
DROP = 0.45  # height above rest from which the newcomer falls
FIGURE = 8  # label
Motion = Callable[[float], Pose]  # seconds -> pose


def tumbling(frames: int, newcomer: int = 0, seed: int = 0) -> World:
    """Five moving things, one of them a figure with swinging arms, and two that stand, for `frames` time steps.

    Args:
        frames: number of time steps; time 0..1 covers (frames - 1) / 30 s.
        newcomer: step at which a drum drops into the pictures for the first time; 0 = never.
        seed: moves the things a little.
    """
    nudge = np.random.default_rng(seed).uniform(-0.03, 0.03, (5, 2))
    duration = (frames - 1) * STEP_SEC
    moving = [
        _ball(4, _falling(0.7 + nudge[0, 0], nudge[0, 1])),
        _crate(5, _sliding(-0.5 + nudge[1, 0], -0.62 + nudge[1, 1])),
        _egg(6, _hopping(-0.38 + nudge[2, 0], 0.72 + nudge[2, 1])),
        _globe(7, _rolling(1.2, -0.45 + nudge[3, 0])),
        *_figure(_walking(*nudge[4])),
    ]
    if newcomer:
        moving.append(_drum(9, _dropping_in(0.38, -0.72, newcomer * STEP_SEC)))
    sky = Body("background", 0, (Solid("dome", (DOME_RADIUS,) * 3, landscape(DOME_RADIUS)),))
    standing = (ground(DOME_RADIUS), tower(2, at(0.42, 0.74, 0.0, 0.5)), mushroom(3, at(-0.84, 0.06, 0.0)))
    return World((sky, *standing, *(_timed(body, duration) for body in moving)))


def _timed(body: Body, duration_sec: float) -> Body:
    """A body whose motion is told in seconds, as one that moves over time 0..1."""
    return Body(body.name, body.label, body.solids, lambda time: body.pose(time * duration_sec), moves=True)


def turn_about(axis: tuple[float, float, float], angle_rad: float) -> np.ndarray:
    """Rotation about an axis of any length, [3, 3] (Rodrigues)."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle_rad) * cross + (1 - math.cos(angle_rad)) * cross @ cross


def bounce_height(drop: float, sec: float) -> float:
    """Height above its rest of a body that is let go at height `drop` at second 0 and bounces until it lies still."""
    speed = math.sqrt(2 * GRAVITY * drop)
    left = sec - speed / GRAVITY
    if left < 0:
        return drop - GRAVITY / 2 * sec**2
    while speed > REST_SPEED:
        speed *= KEPT_SPEED
        if left < 2 * speed / GRAVITY:
            return speed * left - GRAVITY / 2 * left**2
        left -= 2 * speed / GRAVITY
    return 0.0


def _braked(sec: float) -> float:
    """Seconds that the motion at second `sec` would have taken without braking."""
    return BRAKING_SEC * (1 - math.exp(-sec / BRAKING_SEC))


def _falling(x: float, y: float) -> Motion:
    def pose(sec: float) -> Pose:
        path = np.array([x, y + 0.2 * _braked(sec), 0.2 + bounce_height(0.5, sec)])
        return Pose(turn_about((1.0, 0.4, 0.3), 6.0 * _braked(sec)), path)

    return pose


def _sliding(x: float, y: float) -> Motion:
    def pose(sec: float) -> Pose:
        return Pose(turn_z(0.3 + 3.2 * sec), np.array([x + 0.12 * math.sin(5.0 * sec), y, 0.2]))

    return pose


def _hopping(x: float, y: float, hop: float = 0.3) -> Motion:
    """Hops for ever, turning over; it starts in the air."""
    speed = math.sqrt(2 * GRAVITY * hop)
    flight = 2 * speed / GRAVITY

    def pose(sec: float) -> Pose:
        flown = (sec + 0.3 * flight) % flight
        height = speed * flown - GRAVITY / 2 * flown**2
        return Pose(turn_about((0.5, 1.0, 0.2), 4.5 * sec), np.array([x + 0.1 * math.sin(3.0 * sec), y, 0.24 + height]))

    return pose


def _rolling(distance: float, start_rad: float, radius: float = 0.2) -> Motion:
    """Rolls to and fro on a circle about the middle of the stage without slipping."""

    def pose(sec: float) -> Pose:
        swept = 0.45 * math.sin(2.4 * sec)
        angle = start_rad + swept
        spin = turn_z(angle) @ turn_about((1.0, 0.0, 0.0), -distance * swept / radius)
        return Pose(spin, np.array([distance * math.cos(angle), distance * math.sin(angle), radius]))

    return pose


def _walking(x: float, y: float) -> Motion:
    """Walks to and fro while it turns and rocks."""

    def pose(sec: float) -> Pose:
        step = 0.02 * math.sin(7.0 * sec) ** 2
        path = np.array([x + 0.1 * math.sin(3.0 * sec), y + 0.08 * math.cos(3.0 * sec), step])
        return Pose(turn_z(0.4 + 1.1 * math.sin(1.8 * sec)) @ turn_y(0.08 * math.sin(7.0 * sec)), path)

    return pose


def _swinging(body: Motion, side: float) -> Motion:
    """An arm that hangs from the left (side 1) or right (-1) shoulder of a body and swings forth and back."""
    shoulder = np.array([[0.0, 0.155 * side, 0.54]])

    def pose(sec: float) -> Pose:
        torso = body(sec)
        swing = turn_about((1.0, 0.0, 0.0), 0.3 * side) @ turn_y(0.9 * side * math.sin(7.0 * sec + 0.5))
        return Pose(torso.rotation @ swing, torso.to_world(shoulder)[0])

    return pose


def _dropping_in(x: float, y: float, start_sec: float) -> Motion:
    """Waits above all pictures, is in them at `start_sec`, falls and stays."""

    def pose(sec: float) -> Pose:
        since = sec - start_sec + 1e-9  # the step itself counts, whatever the rounding
        height = WAITING_HEIGHT if since < 0 else 0.15 + bounce_height(DROP, since)
        return Pose(turn_z(2.0 * _braked(max(since, 0.0))), np.array([x, y, height]))

    return pose


def _ball(label: int, pose: Motion) -> Body:
    stripes = gores(("#e5533d", "#f6efe2", "#f2b134", "#f6efe2", "#2a7fb8", "#f6efe2"), "#f6efe2")
    texture = speckled(stripes, ("#23395b", "#f7c948", "#b23a48"), 14.0)
    return Body("ball", label, (Solid("ellipsoid", (0.2,) * 3, texture, gloss=0.3),), pose)


def _crate(label: int, pose: Motion) -> Body:
    texture = speckled(planks("#d9a066", "#8a5a2b", 0.13), ("#3f7d5d", "#f3e3c3", "#5a2a1e"), 16.0, seed=21)
    return Body("crate", label, (Solid("box", (0.2,) * 3, texture),), pose)


def _egg(label: int, pose: Motion) -> Body:
    stripes = bands(("#6a3d9a", "#c9a7e8", "#5b3590", "#e4cdf5"), 0.085)
    texture = speckled(stripes, ("#f7d154", "#1f2a44"), 16.0, seed=22)
    return Body("egg", label, (Solid("ellipsoid", (0.16, 0.16, 0.22), texture, gloss=0.2),), pose)


def _globe(label: int, pose: Motion) -> Body:
    texture = speckled(marble("#f2f0ea", "#3f5266", 8.0), ("#c8553d", "#2f4858", "#7aa874"), 16.0, seed=23)
    return Body("marble", label, (Solid("ellipsoid", (0.2,) * 3, texture, gloss=0.3),), pose)


def _drum(label: int, pose: Motion) -> Body:
    texture = speckled(zigzag("#1f6f78", "#f4d58d", "#c8553d", 0.15), ("#fdf6e3", "#14323a"), 15.0, seed=24)
    return Body("drum", label, (Solid("cylinder", (0.2, 0.2, 0.15), texture),), pose)


def _figure(walk: Motion) -> tuple[Body, Body, Body]:
    """A toy figure 0.8 high: trunk with head and legs, and two arms that turn about their shoulders."""
    shirt = speckled(bands(("#d1495b", "#edae49"), 0.09), ("#00798c", "#fdf6e3", "#30323d"), 18.0, seed=25)
    skin = speckled(painted("#e8b48c", "#d99a6c", 0.11), ("#7a4a2b", "#fff1dd", "#4d5a8a"), 20.0, seed=26)
    cloth = speckled(bands(("#3d5a80", "#293f5c"), 0.07), ("#e0fbfc", "#ee6c4d"), 20.0, seed=27)
    trunk = (
        Solid("cylinder", (0.11, 0.11, 0.16), shirt, (0.0, 0.0, 0.41)),
        Solid("ellipsoid", (0.11, 0.11, 0.12), skin, (0.0, 0.0, 0.68)),
        Solid("cylinder", (0.05, 0.05, 0.13), cloth, (0.0, 0.058, 0.13)),
        Solid("cylinder", (0.05, 0.05, 0.13), cloth, (0.0, -0.058, 0.13)),
    )
    arm = (
        Solid("cylinder", (0.045, 0.045, 0.13), shirt, (0.0, 0.0, -0.12)),
        Solid("ellipsoid", (0.06, 0.06, 0.06), skin, (0.0, 0.0, -0.28)),
    )
    arms = (Body("figure", FIGURE, arm, _swinging(walk, side)) for side in (1.0, -1.0))
    return Body("figure", FIGURE, trunk, walk), *arms
