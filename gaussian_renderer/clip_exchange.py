"""`params.npz` of Dynamic 3D Gaussians becomes a model folder that all scripts open, and the other way round."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from arguments import (
    ModelParams,
    MotionParams,
    PipelineParams,
    SemanticParams,
    TrackingParams,
    load_config,
    save_config,
)
from gaussian_renderer.time_paths import distinct_times
from gaussian_renderer.trained import resolve_iteration, saved_iteration_folder
from scene import Scene
from scene.datasets import read_scene
from scene.formats import read_splats
from scene.formats.d3dg import TrackedParams, tracked_params_of, write_params_npz
from scene.formats.ply import write_ply
from scene.gaussian_model import GaussianModel
from scene.motion import MotionSetup
from scene.motion.files import load_motion, motion_folder, save_motion
from scene.motion.per_timestep import PerTimestep
from scene.motion.trajectories import Trajectories
from scene.scene import read_options
from scene.scene_info import ball_of
from utils.errors import UserError
from utils.files import write_json
from utils.npz import read_npz, write_npz
from utils.progress import say

ITERATION = 1  # that an imported clip is called
CORRECTIONS = "camera_colors.npz"  # beside the motion: cam_m and cam_c, which only params.npz knows


def import_clip(params: TrackedParams, folder: Path, data: str = "") -> None:
    """Write a model folder of a clip, with every bit of its poses.

    Args:
        params: the clip.
        folder: where to; nothing may be there that would be replaced.
        data: the data set that the clip was trained on; empty = the model knows none.

    Raises:
        UserError: the data set has another number of moments.
    """
    poses = params.trajectories
    model = ModelParams(sh_degree=0, model_path=str(folder), eval=True, num_frames=len(poses.times))
    if data:
        model = replace(model, source_path=os.path.abspath(data))
        poses = replace(poses, times=torch.tensor(moments_of(model), dtype=torch.float64))
    write_ply(saved_iteration_folder(folder, ITERATION) / "point_cloud.ply", params.arrays)
    motion, tracking = MotionParams(motion=PerTimestep.kind), TrackingParams(track_precision="float32")
    save_motion(motion_folder(folder, ITERATION), clip_motion(params, poses))
    corrections = {"cam_m": params.cam_m, "cam_c": params.cam_c}
    write_npz(motion_folder(folder, ITERATION) / CORRECTIONS, corrections, compress=False)
    save_config(folder, model, PipelineParams(), SemanticParams(), motion, tracking)
    if data:
        write_json(folder / "cameras.json", Scene.open(model, "cpu").camera_records())


def clip_motion(params: TrackedParams, poses: Trajectories | None = None) -> PerTimestep:
    """The motion of a clip, with its poses or with the same ones at other times."""
    center, radius = ball_of(params.arrays.xyz.astype(np.float64))
    options, tracking = MotionParams(motion=PerTimestep.kind), TrackingParams(track_precision="float32")
    setup = MotionSetup(options, tuple(center.tolist()), radius or 1.0, tracking=tracking)
    return PerTimestep.of(poses or params.trajectories, setup)


def moments_of(model: ModelParams) -> Sequence[float]:
    """The moments of the data set of a clip, which must be as many as the clip has."""
    times = sorted({camera.time for camera in read_scene(model.source_path, read_options(model)).train})
    if len(times) != model.num_frames:
        advice = "give the data set that the clip was trained on"
        raise UserError(
            f"{model.source_path}: {len(times)} moments; expected {model.num_frames} as in the clip; {advice}"
        )
    return times


def export_clip(folder: Path, path: Path, iteration: int = -1) -> None:
    """Write a model of any motion as `params.npz`; one that was not tracked at the moments of its data set."""
    iteration = resolve_iteration(folder, iteration)
    arrays = read_splats(saved_iteration_folder(folder, iteration) / "point_cloud.ply")
    model = GaussianModel.from_arrays(arrays).with_motion(load_motion(folder, iteration, "cpu"))
    times = None if isinstance(model.motion, PerTimestep) else _times_of_data(folder)
    params = replace(tracked_params_of(model, times), **_corrections(folder, iteration))
    write_params_npz(path, params)
    say(f"{len(params.arrays)} Gaussians at {len(params.trajectories.times)} moments in {path}")


def _times_of_data(folder: Path) -> list[float]:
    options = replace(load_config(folder, ModelParams), model_path=str(folder))
    return distinct_times(Scene.open(options, "cpu").train)


def _corrections(folder: Path, iteration: int) -> dict[str, np.ndarray]:
    """Colour corrections of the cameras of an imported clip; else none."""
    path = motion_folder(folder, iteration) / CORRECTIONS
    if not path.is_file():
        return {}
    found = read_npz(path)
    if not all(name in found and found[name].ndim == 2 and found[name].shape[1] == 3 for name in ("cam_m", "cam_c")):
        raise UserError(f"{path}: expected cam_m and cam_c [C, 3]; import the clip again")
    return {name: found[name] for name in ("cam_m", "cam_c")}
