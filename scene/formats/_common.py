"""What several splat formats do alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scene.formats import SplatArrays
from utils.errors import UserError
from utils.progress import warn

LOG_SCALE_LIMIT = 20.0
"""Logarithms of sizes are kept within plus and minus this; SuperSplat does the same."""
ALPHA_MARGIN = 1e-6
"""Opacities are kept this far from 0 and 1, whose logits are infinite."""


def without_non_finite(path: Path | str, arrays: SplatArrays) -> SplatArrays:
    """The Gaussians all of whose values are finite; says how many others there were."""
    count = len(arrays)
    finite = np.ones(count, bool)
    for value in arrays.named().values():
        finite &= np.isfinite(value).all(axis=tuple(range(1, value.ndim)))
    if finite.all():
        return arrays
    if count and not finite.any():
        raise UserError(f"{path}: none of its {count} Gaussians has finite values; expected numbers; export it again")
    warn(f"{path}: dropped {int((~finite).sum())} of {count} Gaussians whose values are not finite")
    return arrays.map(lambda value: value[finite])


def warn_left_out(path: Path | str, arrays: SplatArrays, has_rest: bool) -> None:
    """Say what a format has no room for: features, motion, and without `has_rest` colours by direction."""
    parts = ["features"] if arrays.semantic_feature is not None else []
    parts += ["the motion's own columns"] if arrays.motion_code is not None else []
    parts += [] if has_rest or arrays.f_rest.shape[1] == 0 else ["colours that depend on the view"]
    if parts:
        warn(f"{path}: this format has no room for {' and '.join(parts)}; left out")


def opacity_of(logits: np.ndarray) -> np.ndarray:
    """Opacities in 0..1 of logits, any shape."""
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def logit_of(opacity: np.ndarray) -> np.ndarray:
    """float32 logits of opacities, any shape; 0 and 1 become finite."""
    inside = np.clip(opacity, ALPHA_MARGIN, 1 - ALPHA_MARGIN)
    return np.log(inside / (1 - inside)).astype(np.float32)


def unit_quaternions(rotation: np.ndarray) -> np.ndarray:
    """[N, 4] float64 of length 1; a quaternion without length is no rotation."""
    quats = rotation.astype(np.float64)
    length = np.linalg.norm(quats, axis=1, keepdims=True)
    return np.where(length > 0, quats / np.where(length > 0, length, 1), (1.0, 0.0, 0.0, 0.0))
