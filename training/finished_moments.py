"""Going on with a rig without a checkpoint: the moments that are finished are on disk, and say where it goes on.

What is read is the Gaussians as they were saved and where they were at every finished moment. How they hold together
follows from that (`scene.motion.following`); Adam's moments of colours and random numbers start anew.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gaussian_renderer.trained import saved_iteration_folder
from scene.checkpoint import latest_checkpoint, load_checkpoint
from scene.formats import read_splats
from scene.gaussian_model import GaussianModel
from scene.motion import CODE_NAME
from scene.motion.files import motion_folder
from scene.motion.following import BIRTH, stored_pose
from scene.motion.per_timestep import TRACKS_NAME
from scene.motion.timeline import Timeline
from scene.motion.track_store import SETUP_NAME, TrackStore
from training.options import RunOptions
from training.schedules import SH_DEGREE_INTERVAL
from utils.errors import UserError


def newest_state(options: RunOptions) -> Path | None:
    """From what a run goes on: its newest checkpoint, or a folder of tracks which knows more moments; None = nothing.

    Raises:
        UserError: the folder of tracks is damaged.
    """
    checkpoint, tracks = latest_checkpoint(options.model.model_path), _tracks_folder(options)
    if not (_ply(options).is_file() and (tracks / SETUP_NAME).is_file()) or options.train.freeze_geometry:
        return checkpoint
    store = TrackStore.open(tracks)
    if not store.num_steps:
        return checkpoint
    reached = 0 if checkpoint is None else int(load_checkpoint(checkpoint)["iteration"])
    return tracks if _last_iteration(options, store) > reached else checkpoint


def read_state(options: RunOptions, path: Path) -> dict[str, object]:
    """What `training.state.restore` takes, from a checkpoint or a folder of tracks.

    Raises:
        UserError: in one line what is damaged, or does not fit together.
    """
    return _state_of_tracks(options, path) if path.is_dir() else load_checkpoint(path)


def _ply(options: RunOptions) -> Path:
    return saved_iteration_folder(options.model.model_path, options.optimization.iterations) / "point_cloud.ply"


def _tracks_folder(options: RunOptions) -> Path:
    return motion_folder(options.model.model_path, options.optimization.iterations) / TRACKS_NAME


def _last_iteration(options: RunOptions, store: TrackStore) -> int:
    """Number of the iteration that finished the last moment that is there."""
    tracking = options.tracking
    timeline = Timeline(tracking.first_iterations, tracking.step_iterations, len(store.times))
    return timeline.end_of(store.num_steps - 1)


def _state_of_tracks(options: RunOptions, folder: Path) -> dict[str, object]:
    store = TrackStore.open(folder)
    model, poses = _first_model(_ply(options), store.num_steps), store.read()
    if len(model) != poses.num_gaussians:
        seen = f"has {len(model)} Gaussians, its tracks {poses.num_gaussians}"
        raise UserError(f"{_ply(options)}: {seen}; they must be of one run; train again")
    colors = stored_pose(model).colors.expand_as(poses.means) if poses.colors is None else poses.colors
    iteration = _last_iteration(options, store)
    model.active_sh_degree = min(iteration // SH_DEGREE_INTERVAL, model.max_sh_degree)
    history: dict[str, Tensor] = {"means": poses.means, "quats_wxyz": poses.quats_wxyz, "colors": colors}
    motion = {f"history.{name}": value.clone() for name, value in history.items()}
    return {
        "iteration": iteration,
        "model": model.state_dict(),
        "motion": motion | {"stored_colors": colors[-1].clone()},
    }


def _first_model(ply: Path, num_steps: int) -> GaussianModel:
    """The Gaussians of the finished moments; features are left out, as they are lifted when all moments are there."""
    model = GaussianModel.from_arrays(read_splats(ply)).with_features(None)
    code = model.params.get(CODE_NAME)
    if code is None or code.shape[1] <= BIRTH:
        raise UserError(f"{ply}: has no motion code; expected the Gaussians of a rig; train again")
    known = code[:, BIRTH] < num_steps  # the file is written before the moment in which the others were born
    return model if bool(known.all()) else model.subset(torch.nonzero(known)[:, 0])
