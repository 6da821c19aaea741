"""Checkpoints in the form of other programs, whose trainings go on from them: graphdeco's tuple and its relatives.

`(state, iteration)`, where `state` is: active SH degree, xyz, f_dc, f_rest, scaling, rotation, opacity, max_radii2D,
xyz_gradient_accum, denom, state of Adam, spatial scale; Feature 3DGS and Label-3DGS put features or labels behind it,
Multi-Layer 3DGS six lists of the tensors of earlier layers, the newest first. `scene.checkpoint` reads all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from arguments import OptimizationParams
from scene.gaussian_model import FEATURE_NAME
from scene.layers import LIST_NAMES
from utils.files import save_torch

GROUPS = ("xyz", "f_dc", "f_rest", "opacity", "scaling", "rotation")
"""Order of the optimizer's groups."""
ADAM_EPS = 1e-15


@dataclass(frozen=True, eq=False)
class LegacyState:
    """What goes into such a checkpoint."""

    params: Mapping[str, Tensor]
    """xyz [N, 3], f_dc, f_rest, opacity, scaling, rotation as stored, and `semantic_feature` [N, D] if wanted."""
    iteration: int
    active_sh_degree: int
    extent: float
    """Radius of the camera positions, which scales the learning rate of positions."""
    features_as: str = FEATURE_NAME
    """Name of the optimizer's group of features: `semantic_feature` [N, 1, D], or `label` [N, D]."""
    layers: Sequence[Mapping[str, Tensor]] | None = None
    """Earlier layers, the newest first; None = a program that knows no layers."""
    moments: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """State of Adam by name of the tensor; of absent ones it starts anew."""


def save_legacy_checkpoint(path: Path | str, state: LegacyState) -> None:
    """Writes such a checkpoint, whole or not at all."""
    params = {name: nn.Parameter(value.detach().cpu().float().clone()) for name, value in state.params.items()}
    if FEATURE_NAME in params and state.features_as == FEATURE_NAME:
        params[FEATURE_NAME] = nn.Parameter(params[FEATURE_NAME].detach()[:, None].clone())
    count = len(params["xyz"])
    statistics = (torch.zeros(count), torch.zeros(count, 1), torch.zeros(count, 1))
    values = [state.active_sh_degree, *(params[name] for name in LIST_NAMES), *statistics]
    values += [_adam(params, state).state_dict(), float(state.extent)]
    values += [params[FEATURE_NAME]] if FEATURE_NAME in params else []
    if state.layers is not None:
        values += [[nn.Parameter(layer[name].detach().cpu().clone()) for layer in state.layers] for name in LIST_NAMES]
    save_torch(path, (tuple(values), state.iteration))


def _adam(params: Mapping[str, nn.Parameter], state: LegacyState) -> torch.optim.Adam:
    """The optimizer of the other program, with its first learning rates and the moments that are known."""
    rates = _rates(state.extent)
    names = [*GROUPS, *([FEATURE_NAME] if FEATURE_NAME in params else [])]
    called = {FEATURE_NAME: state.features_as}
    groups = [{"params": [params[name]], "lr": rates[name], "name": called.get(name, name)} for name in names]
    adam = torch.optim.Adam(groups, lr=0.0, eps=ADAM_EPS)
    for name in names:
        known = state.moments.get(name, {})
        if {"exp_avg", "exp_avg_sq"} <= set(known) and known["exp_avg"].numel() == params[name].numel():
            adam.state[params[name]] = {key: _fitted(value, params[name]) for key, value in known.items()}
    return adam


def _fitted(value: Tensor | float, parameter: Tensor) -> Tensor:
    """A moment in the shape of its parameter; the number of steps as it is."""
    value = torch.as_tensor(value, dtype=torch.float32).cpu().clone()
    return value.reshape(parameter.shape) if value.numel() == parameter.numel() and value.ndim else value


def _rates(extent: float) -> dict[str, float]:
    rates = OptimizationParams()
    return {
        "xyz": rates.position_lr_init * extent,
        "f_dc": rates.feature_lr,
        "f_rest": rates.feature_lr / 20,
        "opacity": rates.opacity_lr,
        "scaling": rates.scaling_lr,
        "rotation": rates.rotation_lr,
        FEATURE_NAME: 0.001,
    }
