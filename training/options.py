"""All options of one training run, and which of them are refused or have no effect."""

from __future__ import annotations

import math
from dataclasses import dataclass

from arguments import (
    ModelParams,
    MotionParams,
    OptimizationParams,
    PipelineParams,
    SemanticParams,
    TrackingParams,
    TrainParams,
)
from utils.devices import choose_device, named_device
from utils.errors import UserError
from utils.progress import warn

LABEL_TEACHER = "label"  # of --foundation_model: class labels instead of features
NO_EFFECT = {
    "pipeline": ("convert_SHs_python", "compute_cov3D_python"),
    "optimization": ("position_lr_delay_mult",),
    "motion": ("load2gpu_on_the_fly",),
}


@dataclass(frozen=True)
class RunOptions:
    """The option groups of train.py."""

    model: ModelParams
    pipeline: PipelineParams
    optimization: OptimizationParams
    semantic: SemanticParams
    motion: MotionParams
    train: TrainParams
    tracking: TrackingParams = TrackingParams()


def check_source(model: ModelParams) -> None:
    """Refuse a command line without a data set."""
    if not model.source_path:
        raise UserError("no data set given; expected the folder of one; add -s FOLDER")


def check_options(options: RunOptions) -> None:
    """Refuse what is not available or cannot be, in words; warn once about flags without effect.

    Raises:
        UserError: one line.
    """
    if options.train.start_checkpoint and options.train.start_ply:
        raise UserError("--start_checkpoint and --start_ply are both given; expected one of them; leave one out")
    if options.train.freeze_geometry:
        _check_frozen(options)
    _check_layers(options)
    if options.optimization.clean and (options.train.freeze_geometry or options.motion.motion == "per_timestep"):
        raise UserError(
            "--clean removes Gaussians, but with --freeze_geometry or --motion per_timestep they are to stay who they "
            "are; leave it out"
        )
    if options.model.resolution == 0 and not options.semantic.foundation_model:
        raise UserError("-r 0 is the size of a teacher's maps, but there is no teacher; expected -f TEACHER; add it")
    if options.motion.motion == "per_timestep":
        _check_tracking(options)
    choose_device(options.model.device)
    if options.model.data_device != "auto":
        named_device(options.model.data_device, "data_device")  # falls back to the CPU with a warning
    _check_at_least(1, "iterations", options.optimization.iterations)
    _check_at_least(0, "checkpoint_every", options.train.checkpoint_every)
    _check_at_least(1, "speedup_ratio", options.semantic.speedup_ratio)
    _check_at_least(0, "lift_iteration", options.semantic.lift_iteration)
    _warn_without_effect(options)


def _check_layers(options: RunOptions) -> None:
    """What layers need, and the purge."""
    train, optimization = options.train, options.optimization
    given = "--load_layer" if train.load_layer else "--save_layer" if train.save_layer else ""
    if given and options.motion.motion != "static":
        raise UserError(f"{given} in a moving scene: layers stand still; expected --motion static; leave it out")
    if train.load_layer and train.freeze_geometry:
        raise UserError("--load_layer and --freeze_geometry: start from the PLY of all layers, with --start_ply alone")
    if not 0 < optimization.inactive_purge_decay <= 1:
        raise UserError(f"--inactive_purge_decay is {optimization.inactive_purge_decay}; expected a factor up to 1")
    if optimization.inactive_purge_threshold is not None and not math.isfinite(optimization.inactive_purge_threshold):
        raise UserError(f"--inactive_purge_threshold is {optimization.inactive_purge_threshold}; expected a number")
    if options.model.alpha_train and options.model.flatten_alpha:
        warn("--alpha_train has no effect with --flatten_alpha, which leaves no transparency to compare")


def _check_frozen(options: RunOptions) -> None:
    """What --freeze_geometry needs."""
    if not options.semantic.foundation_model:
        raise UserError("--freeze_geometry without a teacher trains nothing; expected -f TEACHER; add it")
    if not options.train.start_ply:
        raise UserError("--freeze_geometry needs Gaussians that are finished; expected --start_ply FILE; add it")
    if options.semantic.semantic_geometry_grad:
        raise UserError("--freeze_geometry and --semantic_geometry_grad exclude each other; leave one out")
    if options.optimization.optimizer_type != "default":
        raise UserError("--freeze_geometry knows no visible Gaussians; expected --optimizer_type default; leave it out")


def _check_tracking(options: RunOptions) -> None:
    """What --motion per_timestep needs."""
    tracking, semantic = options.tracking, options.semantic
    if not 0 < tracking.birth_check < 1:
        raise UserError(f"--birth_check is {tracking.birth_check}; expected a share between 0 and 1; leave it out")
    for name in ("first_iterations", "step_iterations", "num_neighbours", "birth_moments"):
        _check_at_least(1, name, getattr(tracking, name))
    if semantic.foundation_model and semantic.distill != "lift" and not options.train.freeze_geometry:
        raise UserError(
            f"--distill {semantic.distill} with --motion per_timestep; expected --distill lift; or train features "
            "afterwards, with --start_ply and --freeze_geometry"
        )


def _warn_without_effect(options: RunOptions) -> None:
    groups = dict(NO_EFFECT)
    if options.semantic.foundation_model == LABEL_TEACHER:
        groups["semantic"] = ("speedup", "semantic_dimension", "semantic_loss", "semantic_feature_lr")
    for group, names in groups.items():
        given = getattr(options, group)
        for name in names:
            if getattr(given, name) != getattr(type(given)(), name):
                warn(f"--{name} has no effect here")


def _check_at_least(least: int, name: str, value: int) -> None:
    if value < least:
        raise UserError(f"--{name} is {value}; expected at least {least}")
