"""Which motion a data set asks for, and where it takes place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from arguments import MotionParams, TrackingParams
from scene.initialization import camera_box
from scene.motion import MotionSetup
from scene.scene_info import SceneInfo, ball_of
from utils.progress import warn

DEFAULT_KIND = "motion_bases"  # measured against deform_mlp: docs/benchmarks.md, dgd.*
_DEFAULT_TRACKING = TrackingParams()
SYNTHETIC_READERS = ("blender",)  # scenes around the origin, of about the size of a unit ball


def motion_setup(
    info: SceneInfo,
    params: MotionParams,
    device: torch.device | str,
    tracking: TrackingParams = _DEFAULT_TRACKING,
    extent: float = 1.0,
) -> MotionSetup:
    """What a motion of this data set is made from; the options are `resolved` already.

    `extent` is the radius of the cameras, world units.
    """
    center, radius = _ball(info, params)
    times = tuple(camera.time for camera in info.train)
    labelled = info.points is not None and info.points.foreground is not None
    has_masks = labelled and all(camera.foreground_path is not None for camera in info.train)
    return MotionSetup(params, center, radius, times, has_masks, extent, tracking, device)


def resolved(info: SceneInfo, params: MotionParams) -> MotionParams:
    """The options with the kind of motion and of network that suits the data set."""
    moves, kind = _num_times(info) > 1, motion_kind(info, params)
    if kind == "static" and moves:
        warn(f"--motion static: the pictures of {_num_times(info)} moments are taken for one")
    if kind not in ("static", info.motion) and not moves:
        warn(f"--motion {kind}: all pictures are of one moment, so nothing can be seen to move")
    synthetic = info.reader in SYNTHETIC_READERS
    if params.is_blender and not synthetic:
        warn("--is_blender is for synthetic scenes; for recorded ones leave it out if the result is poor")
    return replace(params, motion=kind, is_blender=params.is_blender or synthetic)


def motion_kind(info: SceneInfo, params: MotionParams) -> str:
    """The motion asked for, or that of the data: the network of Deformable 3DGS where one of its options is given."""
    if params.motion != "auto":
        return params.motion
    if info.motion:
        return info.motion
    if _num_times(info) == 1:
        return "static"
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
    center, radius = ball_of(info.points.positions.astype(np.float64))
    return tuple(center.tolist()), radius or 1.0
