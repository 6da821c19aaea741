"""All options of one training run, and which of them are refused or have no effect."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from arguments import ModelParams, OptimizationParams, PipelineParams, SemanticParams, TrainParams
from utils.errors import UserError
from utils.progress import warn

NO_EFFECT = {
    "pipeline": ("convert_SHs_python", "compute_cov3D_python"),
    "train": ("ip", "port"),
    "optimization": ("position_lr_delay_mult",),
}


@dataclass(frozen=True)
class RunOptions:
    """The option groups of train.py."""

    model: ModelParams
    pipeline: PipelineParams
    optimization: OptimizationParams
    semantic: SemanticParams
    train: TrainParams


def check_options(options: RunOptions) -> None:
    """Refuse what is not available or cannot be, in words; warn once about flags without effect.

    Raises:
        UserError: one line.
    """
    if not options.model.source_path:
        raise UserError("no data set given; expected the folder of one; add -s FOLDER")
    if options.model.depths:
        raise UserError("--depths: depth supervision is not available yet; expected no such flag; leave it out")
    if options.model.train_test_exp:
        raise UserError("--train_test_exp: exposure is not available yet; expected no such flag; leave it out")
    if options.train.start_checkpoint and options.train.start_ply:
        raise UserError("--start_checkpoint and --start_ply are both given; expected one of them; leave one out")
    _check_device("device", options.model.device)
    _check_device("data_device", options.model.data_device, must_exist=False)  # falls back to the CPU with a warning
    _check_at_least(1, "iterations", options.optimization.iterations)
    _check_at_least(0, "checkpoint_every", options.train.checkpoint_every)
    _check_at_least(1, "speedup_ratio", options.semantic.speedup_ratio)
    for group, names in NO_EFFECT.items():
        given = getattr(options, group)
        for name in names:
            if getattr(given, name) != getattr(type(given)(), name):
                warn(f"--{name} has no effect here")


def _check_device(flag: str, name: str, must_exist: bool = True) -> None:
    if name == "auto":
        return
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--{flag} is {name!r}; expected auto, cpu, cuda or cuda:<number>; mend it") from None
    if must_exist and device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"--{flag} is {name!r} but torch sees {torch.cuda.device_count()} GPUs; use auto or cpu")


def _check_at_least(least: int, name: str, value: int) -> None:
    if value < least:
        raise UserError(f"--{name} is {value}; expected at least {least}")
