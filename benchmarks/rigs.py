"""Rigs for benchmarks: procedural ones, and the same with fewer cameras."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from examples import camera_paths
from examples.tumble import tumbling
from examples.writers import RIG_WORLD, coloured_points, write_rig
from utils.files import read_json, write_json

FILES = ("ims", "seg", "labels", "init_pt_cld.npz", "tracks_gt.npz", "test_meta.json")
PER_CAMERA = ("fn", "cam_id", "k", "w2c")


def with_fewer_cameras(source: Path, folder: Path, count: int) -> Path:
    """The data set of a rig with `count` of its training cameras, evenly spread; test cameras stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (source / name).exists() and not (folder / name).exists():
            os.symlink((source / name).resolve(), folder / name)
    meta = read_json(source / "train_meta.json")
    total = len(meta["cam_id"][0])
    chosen = [index * total // count for index in range(count)]
    fewer = {name: [[row[index] for index in chosen] for row in meta[name]] for name in PER_CAMERA}
    write_json(folder / "train_meta.json", meta | fewer)
    return folder


def dense_rig(folder: Path, num_points: int, num_foreground: int, size: tuple[int, int] = (640, 360)) -> Path:
    """Two moments of things in motion, 8 cameras, with a cloud of so many points of which so many may move."""
    world, views = tumbling(20), camera_paths.rig(10, size)
    write_rig(folder, world, views, np.linspace(0, 1, 20)[:2], 1)
    rng, moving = np.random.default_rng(0), [body.label for body in world.bodies if body.moves]
    rows: list[np.ndarray] = []
    counts = np.zeros(2, int)
    wanted = np.array([num_points - num_foreground, num_foreground])
    while (counts < wanted).any():
        for view in views:
            points, labels, colours = coloured_points(world, view, 20_000, rng)
            seg = np.isin(labels, moving)
            counts += (int((~seg).sum()), int(seg.sum()))
            rows.append(np.concatenate([points @ RIG_WORLD[:3, :3].T, colours, seg[:, None]], axis=1))
    every = np.concatenate(rows)
    parts = [every[every[:, 6] == label][: wanted[int(label)]] for label in (0, 1)]
    np.savez(folder / "init_pt_cld.npz", data=np.concatenate(parts).astype(np.float32))
    return folder
