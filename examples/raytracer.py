"""A small analytic ray tracer: ellipsoids, boxes, cylinders and discs, vectorised over rays with NumPy.

World axes are right-handed with z up; cameras use OpenCV axes and pixel centres at +0.5. Depth is the camera z of the
hit under the pixel centre, labels are the body hit there; both are exact. Colours average `samples` x `samples` rays
per pixel, each lit by another point of the area light, so shadows have soft edges that are the same from every view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from examples.textures import DISPLAY_GAMMA, Texture

FAR = np.inf
SHADOW_BIAS = 2e-3  # scene units; keeps a surface from shading itself
FLAT_SHAPES = ("dome", "disc")  # cast no shadow
ROOM = 1.01  # size of a bounding sphere, for rounding
WARM = np.array([1.0, 0.95, 0.86], np.float32)  # colour of the lamp
COOL = np.array([0.92, 0.97, 1.08], np.float32)  # colour of the light from all sides


@dataclass(frozen=True)
class Pose:
    """Rigid placement: world = rotation @ local + translation."""

    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))  # [3, 3]
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))  # [3]

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """[M, 3] local -> [M, 3] world."""
        return points @ self.rotation.T + self.translation

    def to_local(self, points: np.ndarray) -> np.ndarray:
        """[M, 3] world -> [M, 3] local."""
        return (points - self.translation) @ self.rotation


@dataclass(frozen=True)
class Solid:
    """One analytic shape in its body's frame."""

    shape: str  # ellipsoid | box | cylinder | disc | dome
    half: tuple[float, float, float]  # half extents; cylinder and disc: axis z, radius half[0]
    texture: Texture
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gloss: float = 0.0  # strength of the highlight, 0..1


@dataclass(frozen=True)
class Body:
    """A named object: solids that move together."""

    name: str
    label: int
    solids: tuple[Solid, ...]
    pose: Callable[[float], Pose] = lambda _time: Pose()  # time in [0, 1]
    moves: bool = False


@dataclass(frozen=True)
class World:
    """Everything a ray can hit, and the light."""

    bodies: tuple[Body, ...]
    light: tuple[float, float, float] = (2.6, -3.2, 5.0)  # centre of the area light
    light_radius: float = 0.55

    @property
    def names(self) -> dict[int, str]:
        """Label id -> name; 0 is the background."""
        return {0: "background"} | {body.label: body.name for body in self.bodies if body.label}


@dataclass(frozen=True)
class View:
    """A pinhole camera at a moment."""

    world_to_camera: np.ndarray  # [4, 4] float64, OpenCV axes
    focal_px: float
    width: int
    height: int
    time: float = 0.0

    @property
    def center(self) -> np.ndarray:
        """Camera centre in the world, [3]."""
        return -self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3]

    @property
    def matrix(self) -> np.ndarray:
        """Intrinsics [3, 3] in pixels, principal point in the middle."""
        return np.array([[self.focal_px, 0, self.width / 2], [0, self.focal_px, self.height / 2], [0, 0, 1.0]])

    def rays(self, shift_px: tuple[float, float]) -> np.ndarray:
        """Unit directions [H * W, 3] in the world through pixel corners + shift (0.5, 0.5 = centres)."""
        x, y = np.meshgrid(np.arange(self.width) + shift_px[0], np.arange(self.height) + shift_px[1])
        camera = np.stack([x - self.width / 2, y - self.height / 2, np.full_like(x, self.focal_px)], axis=-1)
        directions = camera.reshape(-1, 3) @ self.world_to_camera[:3, :3]
        return _unit(directions)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points [M, 3] -> pixels [M, 2] (pixel centres at +0.5) and camera depth [M]."""
        camera = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        depth = camera[:, 2]
        safe = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
        pixels = camera[:, :2] / safe[:, None] * self.focal_px + np.array([self.width / 2, self.height / 2])
        return pixels, depth


@dataclass(frozen=True)
class Frame:
    """A picture with its ground truth."""

    rgba: np.ndarray  # [H, W, 4] uint8; alpha 255 where every ray hits something
    labels: np.ndarray  # [H, W] uint8
    depth: np.ndarray  # [H, W] float32 camera z, 0 where nothing is hit


@dataclass(frozen=True)
class Hits:
    """Nearest hit per ray; `solid` -1 where there is none."""

    distance: np.ndarray  # [M]
    solid: np.ndarray  # [M] int, index into the flat list of placed solids
    normal: np.ndarray  # [M, 3] world, unit, facing the ray


@dataclass(frozen=True)
class Placed:
    """A solid at a moment."""

    body: Body
    solid: Solid
    pose: Pose  # of the body

    @property
    def center(self) -> np.ndarray:
        """World centre of the solid, [3]."""
        return self.pose.to_world(np.asarray(self.solid.offset)[None])[0]


def place(world: World, time: float) -> list[Placed]:
    """All solids of the world at `time`."""
    return [Placed(body, solid, body.pose(time)) for body in world.bodies for solid in body.solids]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.sqrt(_dot(vectors, vectors)), 1e-12)[:, None]


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", a, b)


# Shapes: origins and directions [M, 3] in the solid's frame -> distance [M] (inf = miss) and outward normal [M, 3].


def _ellipsoid(origin: np.ndarray, direction: np.ndarray, half: np.ndarray, far_side: bool = False):
    o, d = origin / half, direction / half
    a, b, c = _dot(d, d), _dot(o, d), _dot(o, o) - 1
    discriminant = b * b - a * c
    root = np.sqrt(np.maximum(discriminant, 0))
    distance = (-b + root) / a if far_side else (-b - root) / a
    distance = np.where((discriminant > 0) & (distance > 0), distance, FAR)
    hit = o + np.where(np.isfinite(distance), distance, 0)[:, None] * d
    return distance, hit / half


def _box(origin: np.ndarray, direction: np.ndarray, half: np.ndarray):
    safe = np.where(np.abs(direction) < 1e-12, 1e-12, direction)
    near = (-np.sign(safe) * half - origin) / safe
    leave = (np.sign(safe) * half - origin) / safe
    enter = np.maximum(np.maximum(near[:, 0], near[:, 1]), near[:, 2])
    exits = np.minimum(np.minimum(leave[:, 0], leave[:, 1]), leave[:, 2])
    distance = np.where((enter <= exits) & (enter > 0), enter, FAR)
    return distance, np.where(near == enter[:, None], -np.sign(safe), 0)


def _disc(origin: np.ndarray, direction: np.ndarray, half: np.ndarray):
    safe = np.where(np.abs(direction[:, 2]) < 1e-12, 1e-12, direction[:, 2])
    distance = -origin[:, 2] / safe
    hit = origin + np.where(np.abs(distance) < 1e6, distance, 0)[:, None] * direction
    inside = (hit[:, 0] ** 2 + hit[:, 1] ** 2 <= half[0] ** 2) & (distance > 0) & (np.abs(distance) < 1e6)
    normal = np.zeros_like(direction)
    normal[:, 2] = -np.sign(safe)
    return np.where(inside, distance, FAR), normal


def _cylinder(origin: np.ndarray, direction: np.ndarray, half: np.ndarray):
    o, d = origin[:, :2], direction[:, :2]
    a, b, c = np.maximum(_dot(d, d), 1e-12), _dot(o, d), _dot(o, o) - half[0] ** 2
    discriminant = b * b - a * c
    side = (-b - np.sqrt(np.maximum(discriminant, 0))) / a
    height = origin[:, 2] + side * direction[:, 2]
    side = np.where((discriminant > 0) & (side > 0) & (np.abs(height) <= half[2]), side, FAR)
    lid = np.sign(origin[:, 2] + 1e-30) * half[2]
    shifted = np.concatenate([o, origin[:, 2:] - lid[:, None]], axis=1)
    cap, cap_normal = _disc(shifted, direction, half)
    cap = np.where(np.abs(origin[:, 2]) > half[2], cap, FAR)
    hit = o + np.where(np.isfinite(side), side, 0)[:, None] * d
    side_normal = np.concatenate([hit, np.zeros_like(hit[:, :1])], axis=1)
    return np.minimum(side, cap), np.where((side < cap)[:, None], side_normal, cap_normal)


def _dome(origin: np.ndarray, direction: np.ndarray, half: np.ndarray):
    distance, normal = _ellipsoid(origin, direction, half, far_side=True)
    return distance, -normal


SHAPES = {"ellipsoid": _ellipsoid, "box": _box, "disc": _disc, "cylinder": _cylinder, "dome": _dome}


def intersect(placed: Sequence[Placed], origin: np.ndarray, direction: np.ndarray) -> Hits:
    """Nearest hit of rays from origin [3] or [M, 3] along unit direction [M, 3]."""
    count = len(direction)
    best = np.full(count, FAR, direction.dtype)
    solid = np.full(count, -1)
    normal = np.zeros_like(direction)
    for index, item in enumerate(placed):
        rotation = item.pose.rotation.astype(direction.dtype)
        start = origin - item.center.astype(direction.dtype)
        near = _near_rays(item.solid, start, direction, best)
        start = start if start.ndim == 1 else start[near]
        local_direction = direction[near] @ rotation
        local_origin = np.broadcast_to(start @ rotation, local_direction.shape)
        half = np.asarray(item.solid.half, direction.dtype)
        distance, local_normal = SHAPES[item.solid.shape](local_origin, local_direction, half)
        closer = distance < best[near]
        hit = near[closer]
        best[hit] = distance[closer]
        solid[hit] = index
        normal[hit] = local_normal[closer].astype(direction.dtype) @ rotation.T
    return Hits(best, solid, _unit(normal))


def _near_rays(solid: Solid, start: np.ndarray, direction: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Indices of the rays that meet the solid's bounding sphere nearer than their best hit; the rest cannot hit it.

    `start` [3] or [M, 3] is the rays' origin as seen from the solid's centre.
    """
    if solid.shape in FLAT_SHAPES:
        return np.arange(len(direction))
    radius = ROOM * float(np.linalg.norm(solid.half))
    one = start.ndim == 1
    ahead = -(direction @ start if one else _dot(start, direction))
    apart2 = (start @ start if one else _dot(start, start)) - ahead**2
    return np.flatnonzero((apart2 < radius**2) & (ahead > -radius) & (ahead - radius < best))


def _ambient_left(placed: Sequence[Placed], points: np.ndarray, normals: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Share of ambient light [M] left by other solids, each taken as its bounding ellipsoid's mean sphere."""
    left = np.ones(len(points), points.dtype)
    for index, item in enumerate(placed):
        if item.solid.shape in FLAT_SHAPES:
            continue
        offset = item.center.astype(points.dtype) - points
        distance2 = _dot(offset, offset)
        radius2 = float(np.prod(item.solid.half)) ** (2 / 3)
        cosine = _dot(offset, normals) / np.sqrt(distance2)
        blocked = np.clip(cosine, 0, 1) * np.minimum(radius2 / distance2, 1)
        left *= 1 - 0.85 * np.where(own == index, 0, blocked)
    return left


def _albedo(placed: Sequence[Placed], solid: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    albedo, gloss = np.zeros_like(points), np.zeros(len(points), points.dtype)
    for index, item in enumerate(placed):
        mine = solid == index
        if mine.any():
            local = item.pose.to_local(points[mine]) - np.asarray(item.solid.offset)
            albedo[mine] = item.solid.texture(local.astype(np.float32))
            gloss[mine] = item.solid.gloss
    return albedo, gloss


def _radiance(placed: Sequence[Placed], hits: Hits, points: np.ndarray, direction: np.ndarray, light: np.ndarray):
    """Linear light [M, 3] towards the camera from hit points [M, 3] (float32, `hits` has no misses)."""
    albedo, gloss = _albedo(placed, hits.solid, points)
    sky = np.isin(hits.solid, [i for i, item in enumerate(placed) if item.solid.shape == "dome"])
    points, normals, solid = points[~sky], hits.normal[~sky], hits.solid[~sky]
    to_light = _unit(light - points)
    casters = [item for item in placed if item.solid.shape not in FLAT_SHAPES]
    lit = intersect(casters, points + normals * SHADOW_BIAS, to_light).solid < 0
    ambient = _ambient_left(placed, points, normals, solid) * (0.34 + 0.12 * normals[:, 2])
    diffuse = 0.82 * lit * np.clip(_dot(normals, to_light), 0, 1)
    highlight = lit * np.clip(_dot(normals, _unit(to_light - direction[~sky])), 0, 1) ** 24
    radiance = albedo.copy()  # the dome shines by itself
    radiance[~sky] *= ambient[:, None] * COOL + diffuse[:, None] * WARM
    radiance[~sky] += 0.35 * (gloss[~sky] * highlight)[:, None]
    return radiance


def _shade(placed: Sequence[Placed], view: View, shift_px: tuple[float, float], light: np.ndarray):
    """Display colours [H * W, 3] in 0..1 and coverage [H * W] of one ray per pixel, lit from the point `light` [3]."""
    direction = view.rays(shift_px).astype(np.float32)
    origin = view.center.astype(np.float32)
    hits = intersect(placed, origin, direction)
    seen = hits.solid >= 0
    hits = Hits(hits.distance[seen], hits.solid[seen], hits.normal[seen])
    points = origin + hits.distance[:, None] * direction[seen]
    radiance = _radiance(placed, hits, points, direction[seen], light.astype(np.float32))
    colours = np.zeros_like(direction)
    colours[seen] = np.clip(radiance, 0, 1) ** (1 / DISPLAY_GAMMA)
    return colours, seen.astype(np.float32)


def _light_points(world: World, count: int) -> np.ndarray:
    turn = 2 * np.pi * (np.arange(count) * 0.618 % 1)
    radius = world.light_radius * np.sqrt((np.arange(count) + 0.5) / count)
    ring = np.stack([np.cos(turn) * radius, np.sin(turn) * radius, 0 * turn], axis=1)
    return np.asarray(world.light) + ring


def body_map(world: World, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Index of the body [H, W] (-1 = none) and camera depth [H, W] float32 under the pixel centres (float64 inside)."""
    direction = view.rays((0.5, 0.5))
    hits = intersect(place(world, view.time), view.center, direction)
    owners = np.array([index for index, body in enumerate(world.bodies) for _ in body.solids] + [-1])
    forward = direction @ view.world_to_camera[2, :3]
    depth = np.where(hits.solid >= 0, np.where(hits.solid >= 0, hits.distance, 0) * forward, 0)
    size = (view.height, view.width)
    return owners[hits.solid].reshape(size), depth.astype(np.float32).reshape(size)


def ground_truth(world: World, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Labels [H, W] uint8 and camera depth [H, W] float32 under the pixel centres."""
    bodies, depth = body_map(world, view)
    return _labels(world)[bodies], depth


def _labels(world: World) -> np.ndarray:
    """Label of every body, uint8; the last entry is for no body."""
    return np.array([body.label for body in world.bodies] + [0], np.uint8)


def shaded_rays(world: World, view: View, samples: int) -> Iterator[tuple[tuple[float, float], np.ndarray, np.ndarray]]:
    """`samples` x `samples` times one ray per pixel: its place in the pixel, display colours [H * W, 3] in 0..1 and
    coverage [H * W], 0 or 1; colours are 0 where nothing is hit.
    """
    placed = place(world, view.time)
    for index, light in enumerate(_light_points(world, samples * samples)):
        shift = ((index % samples + 0.5) / samples, (index // samples + 0.5) / samples)
        yield shift, *_shade(placed, view, shift, light)


def render(world: World, view: View, samples: int = 2) -> Frame:
    """Picture, labels and depth of `world` from `view`, with `samples` x `samples` rays per pixel."""
    total = np.zeros((view.width * view.height, 3), np.float32)
    covered = np.zeros(view.width * view.height, np.float32)
    for _, colours, coverage in shaded_rays(world, view, samples):
        total += colours
        covered += coverage
    straight = total / np.maximum(covered, 1)[:, None]
    rgba = np.concatenate([straight, covered[:, None] / samples**2], axis=1)
    rgba = np.round(rgba * 255).astype(np.uint8).reshape(view.height, view.width, 4)
    labels, depth = ground_truth(world, view)
    return Frame(rgba, labels, depth)


def body_points(world: World, view: View, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """World points [M, 3] and body labels [M] under `count` random pixels of `view`; misses are left out."""
    points, bodies = surface_points(world, view, count, rng)
    return points, _labels(world)[bodies]


def surface_points(world: World, view: View, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """World points [M, 3] and the indices of their bodies [M] under `count` random pixels; misses are left out."""
    bodies, depth = body_map(world, view)
    pixels = rng.integers(0, bodies.size, count)
    pixels = pixels[depth.reshape(-1)[pixels] > 0]
    direction = view.rays((0.5, 0.5))[pixels]
    forward = direction @ view.world_to_camera[2, :3]
    points = view.center + direction * (depth.reshape(-1)[pixels] / forward)[:, None]
    return points, bodies.reshape(-1)[pixels]


def is_visible(world: World, view: View, points: np.ndarray, tolerance: float = 1e-3) -> np.ndarray:
    """[M] bool: inside the picture and nothing in front (one exact ray per point)."""
    pixels, depth = view.project(points)
    inside = (depth > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < view.width) & (pixels[:, 1] < view.height)
    offset = points - view.center
    distance = np.linalg.norm(offset, axis=1)
    hits = intersect(place(world, view.time), view.center, offset / distance[:, None])
    return inside & (hits.distance > distance - tolerance)
