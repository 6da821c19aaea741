"""Procedural scenes as folders in the standard layouts: COLMAP, NeRF-synthetic, D-NeRF and multi-camera rig.

Every layout also gets the ground truth: `labels/<stem>.png` (uint8 ids, 0 = background) with `labels/classes.json`,
`depth_gt/<stem>.npy` (float32 camera z, 0 = nothing there) and `object_masks/<stem>.png` (255 = a toy; a moving one
where things move). Picture stems are unique in a scene, also across train and test.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from examples.colmap_model import sparse_cloud, write_model
from examples.raytracer import Frame, View, World, body_points, is_visible, render, surface_points
from utils.files import atomic_path, write_json
from utils.image_io import write_png
from utils.progress import Progress

GL_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenGL camera axes <-> OpenCV camera axes
RIG_WORLD = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # z up -> y down, floor y = 0
NUM_TRACKS = 400
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Shot:
    """One picture to make."""

    stem: str  # of the labels, depth and masks
    image: str  # path of the picture below the scene folder
    view: View


def render_all(world: World, shots: Sequence[Shot], samples: int) -> Iterator[tuple[Shot, Frame]]:
    """Render all shots on all cores, in order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool, Progress(len(shots)) as progress:
        frames = pool.map(lambda shot: render(world, shot.view, samples), shots)
        for number, (shot, frame) in enumerate(zip(shots, frames, strict=True), start=1):
            progress.update(number)
            yield shot, frame


def write_frames(root: Path, world: World, shots: Sequence[Shot], samples: int) -> list[Frame]:
    """Render and write pictures, labels, depth and masks; RGB when everything is covered, else RGBA."""
    target = [body.label for body in world.bodies if body.moves]
    target = target or [label for label in world.names if label > 1]
    frames = []
    for shot, frame in render_all(world, shots, samples):
        opaque = bool((frame.rgba[..., 3] == 255).all())
        _write_picture(root / shot.image, frame.rgba[..., :3] if opaque else frame.rgba)
        write_png(root / "labels" / f"{shot.stem}.png", frame.labels)
        write_png(root / "object_masks" / f"{shot.stem}.png", np.isin(frame.labels, target).astype(np.uint8) * 255)
        _write_array(root / "depth_gt" / f"{shot.stem}.npy", frame.depth)
        frames.append(frame)
    write_json(root / "labels" / "classes.json", {str(label): name for label, name in sorted(world.names.items())})
    return frames


def _write_picture(path: Path, image: np.ndarray) -> None:
    if path.suffix != ".jpg":
        write_png(path, image)
        return
    with atomic_path(path) as temp:
        Image.fromarray(image[..., :3]).save(temp, format="JPEG", quality=JPEG_QUALITY, subsampling=0)


def _write_array(path: Path, array: np.ndarray) -> None:
    with atomic_path(path) as temp:
        np.save(temp, array)


def _write_arrays(path: Path, **arrays: np.ndarray) -> None:
    with atomic_path(path) as temp:
        np.savez_compressed(temp, **arrays)


def write_colmap(root: Path, world: World, views: Sequence[View], samples: int, seed: int) -> None:
    """Static scene as `images/*.png` and `sparse/0/*.bin` (PINHOLE), with a sparse cloud of surface points."""
    shots = [Shot(f"view_{i:03d}", f"images/view_{i:03d}.png", view) for i, view in enumerate(views)]
    frames = write_frames(root, world, shots, samples)
    cloud = sparse_cloud(world, views, [frame.rgba[..., :3] for frame in frames], np.random.default_rng(seed))
    write_model(root / "sparse" / "0", views, [Path(shot.image).name for shot in shots], cloud)


def write_blender(root: Path, world: World, train: Sequence[View], test: Sequence[View], samples: int) -> None:
    """NeRF-synthetic layout with RGBA pictures; D-NeRF (a `time` in every frame, `tracks_gt.npz`) if bodies move."""
    dynamic = any(body.moves for body in world.bodies)
    splits = {"train": train, "test": test}
    shots = {
        split: [Shot(f"{split}_{i:03d}", f"{split}/{split}_{i:03d}.png", view) for i, view in enumerate(views)]
        for split, views in splits.items()
    }
    write_frames(root, world, [*shots["train"], *shots["test"]], samples)
    for split, group in shots.items():
        write_json(root / f"transforms_{split}.json", transforms(group, dynamic))
    if dynamic:
        write_tracks(root / "tracks_gt.npz", world, [[shot.view] for shot in shots["train"]])


def transforms(shots: Sequence[Shot], dynamic: bool) -> dict:
    """The content of a NeRF-synthetic `transforms_*.json`."""
    frames = []
    for shot in shots:
        camera_to_world = np.linalg.inv(shot.view.world_to_camera) @ GL_FLIP
        frame = {"file_path": f"./{shot.image.removesuffix('.png')}", "transform_matrix": camera_to_world.tolist()}
        frames.append(frame | ({"time": shot.view.time} if dynamic else {}))
    view = shots[0].view
    return {"camera_angle_x": 2 * math.atan(view.width / (2 * view.focal_px)), "frames": frames}


def write_rig(
    root: Path, world: World, cameras: Sequence[View], times: Sequence[float], samples: int
) -> list[list[np.ndarray]]:
    """Synchronised cameras in the Dynamic 3D Gaussians layout (metres, y down, floor y = 0), every fifth held out.

    Returns:
        The pictures [T][C], uint8 [H, W, 3].
    """
    grid = [[_rig_shot(index, step, _at_time(view, time)) for index, view in enumerate(cameras)]
            for step, time in enumerate(times)]  # fmt: skip
    moving = [body.label for body in world.bodies if body.moves]
    shots = [shot for row in grid for shot in row]
    frames = write_frames(root, world, shots, samples)
    for shot, frame in zip(shots, frames, strict=True):
        write_png(root / "seg" / f"{shot.image.removeprefix('ims/').removesuffix('.jpg')}.png",
                  np.isin(frame.labels, moving).astype(np.uint8))  # fmt: skip
    for split in ("train", "test"):
        chosen = [index for index in range(len(cameras)) if (index % 5 == 2) == (split == "test")]
        write_json(root / f"{split}_meta.json", _rig_meta(grid, chosen))
    _write_arrays(root / "init_pt_cld.npz", data=_rig_cloud(world, grid[0], moving))
    write_tracks(root / "tracks_gt.npz", world, [[shot.view for shot in row] for row in grid], RIG_WORLD[:3, :3])
    pictures = [frame.rgba[..., :3] for frame in frames]
    return [pictures[start : start + len(cameras)] for start in range(0, len(pictures), len(cameras))]


def _at_time(view: View, time: float) -> View:
    return View(view.world_to_camera, view.focal_px, view.width, view.height, float(time))


def _rig_shot(camera: int, step: int, view: View) -> Shot:
    return Shot(f"{camera}__{step:06d}", f"ims/{camera}/{step:06d}.jpg", view)


def _rig_meta(grid: Sequence[Sequence[Shot]], chosen: Sequence[int]) -> dict:
    rows = [[row[index] for index in chosen] for row in grid]
    to_rig = np.linalg.inv(RIG_WORLD)
    return {
        "w": grid[0][0].view.width,
        "h": grid[0][0].view.height,
        "fn": [[shot.image.removeprefix("ims/") for shot in row] for row in rows],
        "cam_id": [list(chosen) for _ in rows],
        "k": [[shot.view.matrix.tolist() for shot in row] for row in rows],
        "w2c": [[(shot.view.world_to_camera @ to_rig).tolist() for shot in row] for row in rows],
    }


def _rig_cloud(world: World, shots: Sequence[Shot], moving: Sequence[int], count: int = 12000) -> np.ndarray:
    """[P, 7] float32: x y z, r g b in 0..1, seg (1 = belongs to a moving body), at the first step."""
    rng = np.random.default_rng(0)
    rows = []
    for shot in shots:
        points, labels, colours = coloured_points(world, shot.view, count // len(shots), rng)
        seg = np.isin(labels, moving)[:, None]
        rows.append(np.concatenate([points @ RIG_WORLD[:3, :3].T, colours, seg], axis=1))
    return np.concatenate(rows).astype(np.float32)


def coloured_points(world: World, view: View, count: int, rng: np.random.Generator):
    """Surface points [M, 3] with labels [M] and the colours [M, 3] in 0..1 that `view` sees there."""
    points, labels = body_points(world, view, count, rng)
    pixels = np.floor(view.project(points)[0]).astype(int)
    colours = render(world, view, samples=1).rgba[pixels[:, 1], pixels[:, 0], :3] / 255
    return points, labels, colours


def write_tracks(path: Path, world: World, rows: Sequence[Sequence[View]], turn: np.ndarray | None = None) -> None:
    """Exact paths of surface points: `points` [T, P, 3], `labels` [P], `times` [T], and per view of every step
    `pixels` [T, C, P, 2] and `visible` [T, C, P] (C = 1 for a single moving camera: then without that axis).

    `turn` [3, 3] rotates the stored points into the world frame of the data set.
    """
    body_index, local = _track_seeds(world, [view for row in rows for view in row])
    times = np.array([row[0].time for row in rows])
    points = np.stack([_moved(world, body_index, local, time) for time in times])
    pixels = np.stack([[view.project(points[t])[0] for view in row] for t, row in enumerate(rows)])
    visible = np.stack([[is_visible(world, view, points[t]) for view in row] for t, row in enumerate(rows)])
    if visible.shape[1] == 1:
        pixels, visible = pixels[:, 0], visible[:, 0]
    labels = np.array([world.bodies[index].label for index in body_index], np.uint8)
    stored = points if turn is None else points @ turn.T
    _write_arrays(path, points=stored, labels=labels, times=times, pixels=pixels.astype(np.float32), visible=visible)


def _track_seeds(world: World, views: Iterable[View]) -> tuple[np.ndarray, np.ndarray]:
    """Body index [P] and body-frame position [P, 3] of points seen by some view; half of them on moving bodies."""
    rng = np.random.default_rng(0)
    index_parts, local_parts = [], []
    for view in views:
        points, owners = surface_points(world, view, 2 * NUM_TRACKS, rng)
        for index, body in enumerate(world.bodies):
            if not body.label:
                continue
            pose = body.pose(view.time)
            mine = points[owners == index]
            index_parts.append(np.full(len(mine), index))
            local_parts.append(pose.to_local(mine))
    body_index, local = np.concatenate(index_parts), np.concatenate(local_parts)
    moving = np.array([world.bodies[index].moves for index in body_index])
    halves = [rng.permutation(np.flatnonzero(moving == flag))[: NUM_TRACKS // 2] for flag in (True, False)]
    chosen = np.sort(np.concatenate(halves))
    return body_index[chosen], local[chosen]


def _moved(world: World, body_index: np.ndarray, local: np.ndarray, time: float) -> np.ndarray:
    points = np.empty_like(local)
    for index in np.unique(body_index):
        mine = body_index == index
        points[mine] = world.bodies[index].pose(float(time)).to_world(local[mine])
    return points
