"""A scene of two layers: toys inside a glass shell with opaque bands, each alone with its alpha, and both together.

The shell shines by itself, alike on both sides, and neither lights nor shadows the toys: what is seen of a layer does
not depend on whether the other one is there, so that pictures of the layers and pictures of both agree exactly.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from examples.procedural import at, ball, crate, drum, mushroom
from examples.raytracer import SHAPES, View, World, ground_truth, shaded_rays
from examples.textures import Texture, marble, zigzag
from examples.writers import Shot, transforms
from utils.files import write_json
from utils.image_io import write_png
from utils.progress import Progress

LAYERS = ("inner", "outer", "composite")
SHELL_LABEL = 6
GLASS_ALPHA = 0.28
BELT = 0.1  # half height of the opaque belt, scene units
NUM_RIBS, RIB_SHARE = 6, 0.22  # opaque ribs from pole to pole, and how much of the way round they take
SOLID = 0.5  # alpha from which a pixel counts as showing the shell


@dataclass(frozen=True)
class Shell:
    """An ellipsoid's surface, thin, partly transparent."""

    centre: tuple[float, float, float] = (0.0, 0.0, 0.15)
    half: tuple[float, float, float] = (0.86, 0.86, 0.84)
    glass: Texture = marble("#bfe3e6", "#5f9fb8", 5.0)
    bands: Texture = zigzag("#b5502f", "#f3d9a4", "#7c2f26", 0.2)

    def rgba(self, points: np.ndarray) -> np.ndarray:
        """Colours and alpha [M, 4] at points [M, 3] of the surface, relative to the centre."""
        turn = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi) * NUM_RIBS % 1
        opaque = (np.abs(points[:, 2]) < BELT) | (turn < RIB_SHARE)
        colours = np.where(opaque[:, None], self.bands(points), self.glass(points))
        return np.concatenate([colours, np.where(opaque, 1.0, GLASS_ALPHA)[:, None]], axis=1)

    def sides(self, view: View, shift_px: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Premultiplied RGBA [H * W, 4] of the near and the far side along one ray per pixel; 0 beside the shell."""
        direction = view.rays(shift_px)
        origin = np.broadcast_to(view.center - np.asarray(self.centre), direction.shape)
        return tuple(self._side(origin, direction, shape) for shape in ("ellipsoid", "dome"))

    def _side(self, origin: np.ndarray, direction: np.ndarray, shape: str) -> np.ndarray:
        distance, _ = SHAPES[shape](origin, direction, np.asarray(self.half))
        met = np.isfinite(distance)
        rgba = np.zeros((len(direction), 4))
        found = self.rgba((origin[met] + distance[met, None] * direction[met]).astype(np.float32))
        rgba[met] = np.concatenate([found[:, :3] * found[:, 3:], found[:, 3:]], axis=1)
        return rgba


@dataclass(frozen=True)
class Enclosed:
    """A world of opaque things inside a shell."""

    world: World
    shell: Shell = Shell()


def enclosed_toys(seed: int = 0) -> Enclosed:
    """Four toys that float close together in a shell; `seed` turns them."""
    turns = np.random.default_rng(seed).uniform(-0.4, 0.4, 4)
    toys = (
        crate(2, at(-0.28, -0.2, -0.05, 0.5 + turns[0])),
        ball(3, at(0.3, -0.1, -0.02, turns[1])),
        drum(4, at(0.02, 0.32, 0.0, turns[2])),
        mushroom(5, at(0.0, 0.0, 0.22, turns[3])),
    )
    return Enclosed(World(toys))


def over(*layers: np.ndarray) -> np.ndarray:
    """Premultiplied RGBA layers [M, 4] on one another, the nearest first."""
    total, clear = np.zeros_like(layers[0]), 1.0
    for layer in layers:
        total = total + clear * layer
        clear = 1.0 - total[:, 3:]
    return total


def pictures(scene: Enclosed, view: View, samples: int) -> dict[str, np.ndarray]:
    """RGBA [H, W, 4] uint8 of the toys alone, the shell alone, and both."""
    totals = dict.fromkeys(LAYERS, 0.0)
    for shift, colours, coverage in shaded_rays(scene.world, view, samples):
        toys = np.concatenate([colours, coverage[:, None]], axis=1)
        near, far = scene.shell.sides(view, shift)
        for name, ray in zip(LAYERS, (toys, over(near, far), over(near, toys, far)), strict=True):
            totals[name] = totals[name] + ray
    return {name: _straight_bytes(total / samples**2, view) for name, total in totals.items()}


def _straight_bytes(rgba: np.ndarray, view: View) -> np.ndarray:
    """Premultiplied RGBA [H * W, 4] in 0..1 as a picture [H, W, 4] uint8 with straight alpha."""
    alpha = rgba[:, 3:]
    straight = np.concatenate([rgba[:, :3] / np.maximum(alpha, 1e-6), alpha], axis=1)
    return np.round(straight.clip(0, 1) * 255).astype(np.uint8).reshape(view.height, view.width, 4)


def label_maps(scene: Enclosed, view: View) -> dict[str, np.ndarray]:
    """What is mostly seen under the pixel centres, [H, W] uint8 for each of the pictures."""
    near, far = (side[:, 3].reshape(view.height, view.width) for side in scene.shell.sides(view, (0.5, 0.5)))
    toys, _ = ground_truth(scene.world, view)
    behind = np.where(toys > 0, toys, np.where(far > SOLID, SHELL_LABEL, 0))
    outer = np.where((near > SOLID) | (far > SOLID), SHELL_LABEL, 0)
    maps = (toys, outer, np.where(near > SOLID, SHELL_LABEL, behind))
    return {name: labels.astype(np.uint8) for name, labels in zip(LAYERS, maps, strict=True)}


def write_layers(root: Path, scene: Enclosed, train: Sequence[View], test: Sequence[View], samples: int) -> None:
    """`inner/`, `outer/` and `composite/`, each in the NeRF-synthetic layout with RGBA pictures and label maps."""
    shots = {
        split: [Shot(f"{split}_{i:03d}", f"{split}/{split}_{i:03d}.png", view) for i, view in enumerate(views)]
        for split, views in {"train": train, "test": test}.items()
    }
    everything = [*shots["train"], *shots["test"]]
    for shot, drawn, labels in _drawn(scene, everything, samples):
        for name in LAYERS:
            write_png(root / name / shot.image, drawn[name])
            write_png(root / name / "labels" / f"{shot.stem}.png", labels[name])
    classes = {**scene.world.names, SHELL_LABEL: "shell"}
    for name in LAYERS:
        write_json(root / name / "labels" / "classes.json", {str(label): word for label, word in classes.items()})
        for split, group in shots.items():
            write_json(root / name / f"transforms_{split}.json", transforms(group, dynamic=False))


def _drawn(
    scene: Enclosed, shots: Sequence[Shot], samples: int
) -> Iterator[tuple[Shot, dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Every shot with its pictures and label maps, in order, made on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool, Progress(len(shots)) as progress:
        results = pool.map(lambda shot: (pictures(scene, shot.view, samples), label_maps(scene, shot.view)), shots)
        for number, (shot, (drawn, labels)) in enumerate(zip(shots, results, strict=True), start=1):
            progress.update(number)
            yield shot, drawn, labels
