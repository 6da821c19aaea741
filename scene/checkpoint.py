"""Checkpoints: everything that a training needs to continue to the same result.

A checkpoint is one dictionary, written atomically and read with `weights_only=True`. Its keys:

| key | what |
|---|---|
| `format`, `version` | `FORMAT_NAME`, `VERSION`; added here |
| `iteration` | last finished iteration |
| `model` | `GaussianModel.state_dict()`: `params`, `active_sh_degree`, and `layers` where there are frozen ones |

and whatever else the training keeps: optimizers, densification statistics, camera order, decoder, random-number state
(see `training.state`). Only the keys of the table are required.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scene.gaussian_model import FEATURE_NAME
from scene.layers import LIST_NAMES, layers_of_lists
from utils.errors import UserError
from utils.files import load_torch, save_torch

FORMAT_NAME = "splat-distill checkpoint"
VERSION = 1

_NAME = re.compile(r"chkpnt(\d+)\.pth")


def checkpoint_path(model_path: Path | str, iteration: int) -> Path:
    """`<model_path>/chkpnt<iteration>.pth`."""
    return Path(model_path) / f"chkpnt{iteration}.pth"


def latest_checkpoint(model_path: Path | str) -> Path | None:
    """The checkpoint with the highest iteration in a model folder, or None."""
    found = {path: match for path in Path(model_path).glob("chkpnt*.pth") if (match := _NAME.fullmatch(path.name))}
    return max(found, key=lambda path: int(found[path][1]), default=None)


def save_checkpoint(path: Path | str, state: Mapping[str, object]) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        path: usually `checkpoint_path(...)`.
        state: the keys of the table above; `iteration` and `model` must be there.
    """
    _check_keys(path, state)
    save_torch(path, {"format": FORMAT_NAME, "version": VERSION, **state})


def load_checkpoint(path: Path | str) -> dict[str, object]:
    """Reads a checkpoint of ours, or a graphdeco / Feature 3DGS / Multi-Layer 3DGS one (12, 13, 18 values), to the CPU.

    Raises:
        UserError: one line; also for files that would have to run code (these are never executed).
    """
    return as_checkpoint(path, read_content(path))


def read_content(path: Path | str) -> object:
    """What a checkpoint of whatever program, or another file of tensors, holds, on the CPU; see `load_checkpoint`."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such checkpoint; expected a chkpnt<iteration>.pth")
    if Path(path).suffix == ".ply":
        raise UserError(f"{path}: is a splat file, not a checkpoint; start from it with --start_ply")
    with _numpy_scalars_allowed():
        return load_torch(path)


def as_checkpoint(path: Path | str, content: object) -> dict[str, object]:
    """The content of a file as our checkpoint; see `load_checkpoint`."""
    if isinstance(content, Sequence) and not isinstance(content, str):
        return _from_legacy(path, content)
    if not isinstance(content, dict) or content.get("format") != FORMAT_NAME:
        raise UserError(f"{path}: is no training checkpoint; expected one of this program or of graphdeco's")
    if content.get("version") != VERSION:
        raise UserError(
            f"{path}: checkpoint version {content.get('version')}; this program reads version {VERSION}, update it"
        )
    _check_keys(path, content)
    return content


def _check_keys(path: Path | str, state: Mapping[str, object]) -> None:
    model = state.get("model")
    params = model.get("params") if isinstance(model, Mapping) else None
    tensors = isinstance(params, Mapping) and all(isinstance(value, Tensor) for value in params.values())
    if not isinstance(state.get("iteration"), int) or not tensors or "active_sh_degree" not in model:
        raise UserError(f"{path}: checkpoint without iteration and model; expected both, use another checkpoint")


def _numpy_scalars_allowed() -> AbstractContextManager[None]:
    """graphdeco checkpoints hold one NumPy number (the spatial scale), which is data but not a plain float."""
    scalar = np.float64(0).__reduce__()[0]
    dtypes = [np.dtype, type(np.dtype(np.float32)), type(np.dtype(np.float64))]
    names = [f"numpy.{module}.multiarray.scalar" for module in ("core", "_core")]
    return torch.serialization.safe_globals([*((scalar, name) for name in names), *dtypes])


def _from_legacy(path: Path | str, content: Sequence) -> dict[str, object]:
    """Our keys for `(state, iteration)`, state = 12 values, 13 with features or 18 with layers.

    State: active SH degree, xyz, f_dc, f_rest, scaling, rotation, opacity, max_radii2D, xyz_gradient_accum, denom,
    optimizer state, spatial scale[, semantic_feature | six lists of frozen layers, as in a layer file].
    """
    state = content[0] if len(content) == 2 else None
    if not isinstance(state, Sequence) or len(state) not in (12, 13, 18):
        found = f"{len(state)} values" if isinstance(state, Sequence) else "something else"
        raise UserError(f"{path}: holds {found}; expected a 3DGS checkpoint of 12, 13 or 18 values")
    tensors = dict(zip(LIST_NAMES, state[1:7], strict=True))
    if len(state) == 13:
        tensors[FEATURE_NAME] = state[12]
    if not all(isinstance(value, Tensor) for value in tensors.values()) or not isinstance(state[10], Mapping):
        raise UserError(f"{path}: its parameters are no tensors or its optimizer is none; expected a 3DGS checkpoint")
    tensors = {name: value.detach() for name, value in tensors.items()}
    if FEATURE_NAME in tensors:
        tensors[FEATURE_NAME] = tensors[FEATURE_NAME].flatten(1)  # Feature 3DGS stores [N, 1, D]
        _flatten_feature_moments(state[10])
    return {
        "format": FORMAT_NAME,
        "version": VERSION,
        "iteration": int(content[1]),
        "model": {"params": tensors, "active_sh_degree": int(state[0]), **_legacy_layers(path, state[12:18])},
        "optimizer": state[10],
        "legacy": {
            "max_radii2D": state[7],
            "xyz_gradient_accum": state[8],
            "denom": state[9],
            "spatial_lr_scale": float(state[11]),
        },
    }


def _legacy_layers(path: Path | str, lists: Sequence) -> dict[str, object]:
    """The frozen layers of a Multi-Layer 3DGS checkpoint, as `GaussianModel.state_dict` has them; {} without any."""
    if len(lists) != 6:
        return {}
    try:
        layers = layers_of_lists(lists)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: its layers are none ({error}); expected a Multi-Layer 3DGS checkpoint") from None
    return {"layers": layers.state()} if layers else {}


def _flatten_feature_moments(optimizer: Mapping[str, object]) -> None:
    """Adam's moments of the features from [N, 1, D] to [N, D], in place."""
    for group in optimizer["param_groups"]:
        if group.get("name") == FEATURE_NAME:
            entry = optimizer["state"].get(group["params"][0], {})
            entry.update({key: value.flatten(1) for key, value in entry.items() if getattr(value, "ndim", 0) == 3})
