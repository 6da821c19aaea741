"""The complete state of a training run, as tensors and plain values: what a checkpoint holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from training.schedules import GrowingOrder
from utils.errors import UserError
from utils.seeds import rng_state, set_rng_state

if TYPE_CHECKING:
    from training.trainer import Trainer


def collect(trainer: Trainer) -> dict[str, object]:
    """Everything the loop needs to continue bit for bit on the same machine."""
    motion_optimizer = trainer.motion_optimizer
    return {
        "iteration": trainer.iteration,
        "seconds": trainer.seconds,
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "motion": trainer.model.motion.state_dict(),
        "motion_optimizer": {} if motion_optimizer is None else motion_optimizer.state_dict(),
        "strategy": trainer.density.state_dict(),
        "purge": trainer.purge.state_dict(trainer.density.version),
        "exposure": None if trainer.exposure is None else trainer.exposure.state_dict(),
        "camera_order": list(trainer.order.remaining),
        "cameras_admitted": trainer.order.admitted,
        "decoder": None if trainer.distiller is None else trainer.distiller.state_dict(),
        "rng": rng_state(),
    }


def restore(trainer: Trainer, state: dict) -> None:
    """Continue from `state`; the trainer must have been built on the model that is in it.

    Learning rates stay those of the command line. Checkpoints of other programs lack some parts: those start fresh.
    """
    trainer.iteration = int(state["iteration"])
    trainer.earlier_seconds = float(state.get("seconds", 0.0))
    _load_optimizer(trainer.optimizer, state.get("optimizer"))
    _restore_motion(trainer, state)
    strategy = state.get("strategy") or _legacy_strategy(state.get("legacy"))
    if strategy:
        trainer.density.load_state_dict(strategy)
    trainer.purge.load_state_dict(state.get("purge") or {}, trainer.model, trainer.density.version)
    if trainer.exposure is not None and state.get("exposure") is not None:
        trainer.exposure.load_state_dict(state["exposure"])
    trainer.order.admitted = state.get("cameras_admitted")
    _restore_order(trainer, state.get("camera_order"))
    if trainer.distiller is not None and state.get("decoder") is not None:
        trainer.distiller.load_state_dict(state["decoder"])
    if state.get("rng"):
        set_rng_state(state["rng"])


def _legacy_strategy(legacy: dict | None) -> dict[str, torch.Tensor]:
    """Running statistics of a graphdeco checkpoint under our names, each [N]."""
    if not legacy:
        return {}
    names = {"gradient_sum": "xyz_gradient_accum", "num_seen": "denom", "max_radii_px": "max_radii2D"}
    return {ours: legacy[theirs].flatten() for ours, theirs in names.items()}


def _load_optimizer(optimizer: torch.optim.Optimizer, saved: dict | None) -> None:
    """Take over moments and step counts, by group name; everything else stays as the command line says."""
    if not saved:
        return
    entries = {group["name"]: saved["state"].get(group["params"][0], {}) for group in saved["param_groups"]}
    for group in optimizer.param_groups:
        parameter = group["params"][0]
        entry = entries.get(group["name"], {})
        if entry:
            optimizer.state[parameter] = {
                name: _fitted(value, parameter, f"{group['name']}.{name}") for name, value in entry.items()
            }


def _restore_motion(trainer: Trainer, state: dict) -> None:
    """The motion's values and its optimizer's moments; a checkpoint without any starts it anew."""
    if not state.get("motion"):
        return
    try:
        trainer.model.motion.load_state_dict(state["motion"])
        trainer.renew_motion_optimizer()
        if trainer.motion_optimizer is not None:
            _load_moments(trainer.motion_optimizer, state["motion_optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"checkpoint: another kind of motion ({reason}); expected the options of its run") from None


def _load_moments(optimizer: torch.optim.Optimizer, saved: dict) -> None:
    """`load_state_dict` with the learning rates that the optimizer has."""
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _fitted(value: object, parameter: torch.Tensor, name: str) -> object:
    """A saved optimizer value on the parameter's device, moments in the parameter's shape."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.dim() and value.numel() != parameter.numel():
        raise UserError(
            f"checkpoint: {name} has shape {list(value.shape)}, its parameter {list(parameter.shape)}; "
            "expected the same; use another checkpoint"
        )
    return (value.reshape(parameter.shape) if value.dim() else value).to(parameter.device).clone()


def _restore_order(trainer: Trainer, remaining: list[int] | None) -> None:
    if remaining is None:
        return
    if not remaining or not all(0 <= index < trainer.order.num_cameras for index in remaining):
        raise UserError(
            f"checkpoint: its camera order does not fit the {trainer.order.num_cameras} training views of this run; "
            "expected the same data set and split"
        )
    trainer.order.remaining = list(remaining)
    if isinstance(trainer.order, GrowingOrder):
        trainer.order.drawn = trainer.iteration
