"""Soft procedural colours: functions from points of a body's own frame to linear RGB.

Every texture is a pure function ``points [M, 3] -> albedo [M, 3]`` (linear light, 0..1), so it sticks to its body when
the body moves. Edges are smooth ramps: they alias little at 2x2 samples and a Gaussian model can learn them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

Texture = Callable[[np.ndarray], np.ndarray]
LATTICE = 32  # cells after which the noise repeats
DISPLAY_GAMMA = 2.2


def srgb(hex_colour: str) -> np.ndarray:
    """Linear RGB [3] of a display colour such as "#e07a5f"."""
    channels = [int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.asarray(channels) ** DISPLAY_GAMMA


def ramp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smoothstep from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """a where weight [M] is 0, b where it is 1; a and b are [3] or [M, 3]."""
    return a + (b - a) * weight[:, None]


def _unit(points: np.ndarray) -> np.ndarray:
    return points / np.sqrt(np.einsum("ij,ij->i", points, points))[:, None]


@cache
def _lattice(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((LATTICE, LATTICE, LATTICE), dtype=np.float32)


def value_noise(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """Smooth noise in 0..1 at points [M, 3], one lattice cell per unit."""
    table = _lattice(seed).reshape(-1)
    cell = np.floor(points)
    t = (points - cell).astype(np.float32)
    t = t * t * (3 - 2 * t)
    low = cell.astype(np.int32) % LATTICE
    high = (low + 1) % LATTICE
    total = np.zeros(len(points), np.float32)
    for corner in range(8):
        bits = [(corner >> axis) & 1 for axis in range(3)]
        index = [high[:, axis] if bits[axis] else low[:, axis] for axis in range(3)]
        weight = [t[:, axis] if bits[axis] else 1 - t[:, axis] for axis in range(3)]
        total += table[(index[0] * LATTICE + index[1]) * LATTICE + index[2]] * (weight[0] * weight[1] * weight[2])
    return total


def fractal_noise(points: np.ndarray, octaves: int = 3, seed: int = 0) -> np.ndarray:
    """Sum of value noise at doubling frequency and halving height, in 0..1."""
    total, height = np.zeros(len(points), np.float32), 1.0
    for octave in range(octaves):
        total += height * value_noise(points * 2.0**octave + 7.3 * octave, seed + octave)
        height /= 2
    return total / (2 - 2 * height)


def gores(colours: Sequence[str], cap: str, seed: int = 1) -> Texture:
    """Beach ball: one wedge per colour around z, with a plain cap on both poles."""
    palette, cap_colour = np.stack([srgb(c) for c in colours]), srgb(cap)

    def texture(points: np.ndarray) -> np.ndarray:
        unit = _unit(points)
        turn = (np.arctan2(unit[:, 1], unit[:, 0]) / (2 * np.pi) % 1) * len(palette)
        index = np.floor(turn).astype(int) % len(palette)
        blend = ramp(turn - np.floor(turn), 0.94, 1.0)
        colour = mix(palette[index], palette[(index + 1) % len(palette)], blend)
        colour = mix(colour, cap_colour, ramp(np.abs(unit[:, 2]), 0.90, 0.93))
        return colour * (0.85 + 0.15 * fractal_noise(unit * 5, 2, seed))[:, None]

    return texture


def planks(light: str, dark: str, width: float, seed: int = 2) -> Texture:
    """Sawn wood: boards along x with grain and dark joints."""
    light_colour, dark_colour = srgb(light), srgb(dark)

    def texture(points: np.ndarray) -> np.ndarray:
        across = (points[:, 1] + points[:, 2]) / width
        board = np.floor(across)
        shift = board[:, None] * np.array([3.1, 5.7, 1.3])
        grain = fractal_noise(points * np.array([3.0, 22.0, 22.0]) + shift, 3, seed)
        colour = mix(light_colour, dark_colour, np.clip(1.5 * grain - 0.35 + 0.25 * np.sin(board * 2.4), 0, 1))
        joint = np.minimum(across - board, 1 - (across - board))
        return colour * (0.35 + 0.65 * ramp(joint, 0.0, 0.10))[:, None]

    return texture


def dots(base: str, dot: str, spacing: float, radius: float, seed: int = 3) -> Texture:
    """Round spots whose centres lie on a Fibonacci sphere around the origin (spacing and radius in radians)."""
    base_colour, dot_colour = srgb(base), srgb(dot)
    count = int(4 * np.pi / spacing**2)
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    centres = np.stack([*(np.sqrt(1 - height**2) * np.array([np.cos(turn), np.sin(turn)])), height])

    def texture(points: np.ndarray) -> np.ndarray:
        unit = _unit(points)
        nearest = (unit @ centres.astype(points.dtype)).max(axis=1)
        inside = ramp(nearest, np.cos(radius * 1.12), np.cos(radius * 0.88))
        return mix(base_colour, dot_colour, inside) * (0.85 + 0.15 * fractal_noise(unit * 6, 2, seed))[:, None]

    return texture


def zigzag(base: str, line: str, rim: str, half_height: float, teeth: int = 9, seed: int = 4) -> Texture:
    """Drum: a zigzag line around z and a plain rim at top and bottom; the caps get soft rings."""
    base_colour, line_colour, rim_colour = srgb(base), srgb(line), srgb(rim)

    def texture(points: np.ndarray) -> np.ndarray:
        turn = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi) * teeth
        tooth = 2 * np.abs(turn - np.floor(turn) - 0.5)
        level = points[:, 2] / half_height
        colour = mix(line_colour, base_colour, ramp(np.abs(level - (tooth - 0.5) * 1.1), 0.10, 0.20))
        colour = mix(colour, rim_colour, ramp(np.abs(level), 0.74, 0.80))
        return colour * (0.85 + 0.15 * fractal_noise(points * 14, 2, seed))[:, None]

    return texture


def marble(light: str, vein: str, frequency: float, seed: int = 5) -> Texture:
    """Veins where a sine bent by noise crosses zero."""
    light_colour, vein_colour = srgb(light), srgb(vein)

    def texture(points: np.ndarray) -> np.ndarray:
        bend = fractal_noise(points * frequency, 3, seed)
        wave = np.abs(np.sin(frequency * (points[:, 0] + 0.7 * points[:, 2]) + 7 * bend))
        return mix(vein_colour, light_colour, ramp(wave, 0.0, 0.55))

    return texture


def bands(colours: Sequence[str], width: float, seed: int = 6) -> Texture:
    """Horizontal bands along z in turn, each `width` high, with wavy borders."""
    palette = np.stack([srgb(c) for c in colours])

    def texture(points: np.ndarray) -> np.ndarray:
        turn = np.arctan2(points[:, 1], points[:, 0])
        level = points[:, 2] / width + 0.18 * np.sin(6 * turn) + 64 * len(palette)
        index = np.floor(level).astype(int)
        blend = ramp(level - index, 0.88, 1.0)
        colour = mix(palette[index % len(palette)], palette[(index + 1) % len(palette)], blend)
        return colour * (0.82 + 0.18 * fractal_noise(points * 16, 2, seed))[:, None]

    return texture


def painted(base: str, inlay: str, half: float, seed: int = 7) -> Texture:
    """Toy block: a plain face with a lighter square frame, for a cube of half size `half`."""
    base_colour, inlay_colour = srgb(base), srgb(inlay)

    def texture(points: np.ndarray) -> np.ndarray:
        level = np.sort(np.abs(points), axis=1) / half  # the largest is the face's own axis
        frame = ramp(level[:, 1], 0.52, 0.58) * (1 - ramp(level[:, 1], 0.74, 0.80))
        return mix(base_colour, inlay_colour, frame) * (0.85 + 0.15 * fractal_noise(points * 12, 2, seed))[:, None]

    return texture


def speckled(base: Texture, colours: Sequence[str], frequency: float, seed: int = 20) -> Texture:
    """Another texture with blotches in all colours at two sizes, so that hardly any place looks like the next."""
    palette = [srgb(colour) for colour in colours]

    def texture(points: np.ndarray) -> np.ndarray:
        colour = base(points)
        for index, tint in enumerate(palette):
            blotch = fractal_noise(points * frequency * (1 + index % 2), 2, seed + 10 * index)
            colour = mix(colour, tint, ramp(blotch, 0.60, 0.66))
        return colour

    return texture


def plaza(radius: float, seed: int = 8) -> Texture:
    """Ground: rings of stone tiles inside `radius`, meadow outside, around z."""
    stone, sand, joint = srgb("#d9c7a3"), srgb("#b5714f"), srgb("#6f5b4b")
    grass, clover = srgb("#8fae4f"), srgb("#5f8a45")

    def texture(points: np.ndarray) -> np.ndarray:
        distance = np.hypot(points[:, 0], points[:, 1])
        ring = distance / (radius / 6)
        index = np.floor(ring)
        tiles = np.maximum(np.round(index * 5), 4)
        turn = (np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi) + 0.137 * index) % 1 * tiles
        tint = value_noise(np.stack([index * 3.7, np.floor(turn) * 1.9, 0 * index], axis=1) + 0.5, seed)
        grain = fractal_noise(points * 9, 3, seed + 1)
        tile = mix(stone, sand, np.clip(1.25 * tint + 0.5 * (grain - 0.5) - 0.1, 0, 1))
        across = np.minimum(turn - np.floor(turn), 1 - turn + np.floor(turn)) * 2 * np.pi * distance / tiles
        along = np.minimum(ring - index, 1 - ring + index) * radius / 6
        tile = mix(joint, tile, ramp(np.minimum(across, along), 0.004, 0.022))
        meadow = mix(grass, clover, ramp(fractal_noise(points * 2.2, 3, seed + 2), 0.3, 0.7))
        return mix(tile, meadow, ramp(distance, radius - 0.01, radius + 0.03))

    return texture


def landscape(radius: float, seed: int = 9) -> Texture:
    """Inside of a dome: three rows of hills under a sky with clouds (emitted light, not shaded)."""
    rows = ((0.30, "#7f9fb8", 3.0), (0.19, "#6d9a86", 4.5), (0.09, "#6f9550", 7.0))
    zenith, horizon, cloud = srgb("#6fa6d8"), srgb("#e9dcc4"), srgb("#fbf7ef")

    def texture(points: np.ndarray) -> np.ndarray:
        unit = points / radius
        height = unit[:, 2]
        colour = mix(horizon, zenith, ramp(height, 0.0, 0.65))
        puffs = fractal_noise(unit * np.array([3.0, 3.0, 9.0]), 3, seed)
        colour = mix(colour, cloud, 0.85 * ramp(puffs, 0.5, 0.68) * ramp(height, 0.12, 0.3))
        ground_plan = np.concatenate([unit[:, :2], 0 * unit[:, 2:]], axis=1)
        for row, (top, tint, frequency) in enumerate(rows):
            ridge = top * (0.35 + 1.1 * fractal_noise(ground_plan * frequency, 2, seed + 5 + row))
            shade = 0.8 + 0.4 * fractal_noise(unit * 14, 2, seed + 11 + row)
            colour = mix(colour, srgb(tint) * shade[:, None], ramp(ridge - height, -0.006, 0.006))
        return colour

    return texture
