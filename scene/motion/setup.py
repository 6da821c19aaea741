"""Which motion a data set asks for, and where it takes place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from arguments import MotionParams
from scene.initialization import camera_box
from scene.motion import MotionSetup
from scene.scene_info import SceneInfo
from utils.progress import warn

DEFAULT_KIND = "motion_bases"  # measured against deform_mlp: docs/benchmarks.md, dgd.*
REACH_PERCENTILE = 90  # of the points' distances from their middle: the radius without stray points
SYNTHETIC_READERS = ("blender",)  # scenes around the origin, of about the size of a unit ball


def motion_setup(info: SceneInfo, params: MotionParams, device: torch.device | str) -> MotionSetup:
    """What a motion of this data set is made from, with everything that was left to the data decided."""
    params = resolved(info, params)
    center, radius = _ball(info, params)
    return MotionSetup(params, center, radius, _num_times(info), device)


def resolved(info: SceneInfo, params: MotionParams) -> MotionParams:
    """The options with the kind of motion and of network that suits the data set."""
    moves = _num_times(info) > 1
    kind = params.motion if params.motion != "auto" else (_default_kind(params) if moves else "static")
    if kind == "static" and moves:
        warn(f"--motion static: the pictures of {_num_times(info)} moments are taken for one")
    if kind != "static" and not moves:
        warn(f"--motion {kind}: all pictures are of one moment, so nothing can be seen to move")
    synthetic = info.reader in SYNTHETIC_READERS
    if params.is_blender and not synthetic:
        warn("--is_blender is for synthetic scenes; for recorded ones leave it out if the result is poor")
    return replace(params, motion=kind, is_blender=params.is_blender or synthetic)


def _default_kind(params: MotionParams) -> str:
    """The network of Deformable 3DGS where one of its own options is given."""
    return "deform_mlp" if params.compat or params.is_blender or params.is_6dof else DEFAULT_KIND


def _num_times(info: SceneInfo) -> int:
    return len({camera.time for camera in info.train})


def _ball(info: SceneInfo, params: MotionParams) -> tuple[tuple[float, float, float], float]:
    """Centre and radius of what moves; of synthetic scenes the origin and 1, as networks of other programs expect."""
    if params.compat_scale or info.reader in SYNTHETIC_READERS:
        return (0.0, 0.0, 0.0), 1.0
    if info.points is None or len(info.points) == 0:
        low, high = np.array(camera_box(info.train))
        return tuple(((low + high) / 2).tolist()), float((high - low).max() / 2)
    positions = info.points.positions.astype(np.float64)
    center = np.median(positions, axis=0)
    radius = float(np.percentile(np.linalg.norm(positions - center, axis=1), REACH_PERCENTILE))
    return tuple(center.tolist()), radius or 1.0
