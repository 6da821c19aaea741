"""`.splat`, the format of antimatter15's web viewer: 32 bytes for each Gaussian, one colour from all sides.

| bytes | |
|---|---|
| 0-11 | position, 3 float32 |
| 12-23 | standard deviations, 3 float32 |
| 24-27 | red, green, blue, opacity, as bytes of 0..1 |
| 28-31 | quaternion wxyz of length 1, as bytes 128 q + 128 |
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scene.formats import FORMATS, SplatArrays
from scene.formats._common import (
    LOG_SCALE_LIMIT,
    logit_of,
    opacity_of,
    unit_quaternions,
    warn_left_out,
    without_non_finite,
)
from utils.errors import UserError
from utils.files import atomic_path
from utils.spherical_harmonics import rgb_to_sh, sh_to_rgb

RECORD = np.dtype([("xyz", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("rotation", "u1", 4)])


@FORMATS.register("splat")
class AntimatterSplat:
    """Positions and sizes as they are; colours, opacities and rotations in bytes."""

    extension = ".splat"
    marker = b""

    def read(self, path: Path) -> SplatArrays:
        """Reads a file; sizes of 0 are made tiny."""
        records = _records(path)
        rgba = records["rgba"].astype(np.float32) / 255
        with np.errstate(divide="ignore", invalid="ignore"):
            scaling = np.maximum(np.log(records["scale"]), np.float32(-LOG_SCALE_LIMIT))
        arrays = SplatArrays(
            xyz=np.ascontiguousarray(records["xyz"], np.float32),
            f_dc=rgb_to_sh(rgba[:, None, :3]).astype(np.float32),
            f_rest=np.zeros((len(records), 0, 3), np.float32),
            opacity=logit_of(rgba[:, 3:]),
            scaling=scaling.astype(np.float32),
            rotation=(records["rotation"].astype(np.float32) - 128) / 128,
        )
        return without_non_finite(path, arrays)

    def write(self, path: Path, arrays: SplatArrays) -> None:
        """Writes a file, the Gaussians that cover most first, as viewers that load by and by expect."""
        warn_left_out(path, arrays, has_rest=False)
        arrays = without_non_finite(path, arrays)
        if len(arrays) == 0:
            raise UserError(f"{path}: no Gaussians to write; a .splat without any is no file; choose some")
        records = np.zeros(len(arrays), RECORD)
        records["xyz"] = arrays.xyz
        records["scale"] = np.exp(np.clip(arrays.scaling, -LOG_SCALE_LIMIT, LOG_SCALE_LIMIT))
        colors = np.concatenate([sh_to_rgb(arrays.f_dc[:, 0]), opacity_of(arrays.opacity)], axis=1)
        records["rgba"] = np.rint(np.clip(colors, 0, 1) * 255)
        records["rotation"] = np.clip(np.rint(unit_quaternions(arrays.rotation) * 128 + 128), 0, 255)
        order = np.argsort(-opacity_of(arrays.opacity)[:, 0] * np.exp(arrays.scaling.sum(axis=1)), kind="stable")
        with atomic_path(path) as temporary:
            records[order].tofile(temporary)


def _records(path: Path) -> np.ndarray:
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; expected a .splat")
    size = Path(path).stat().st_size
    if size == 0 or size % RECORD.itemsize:
        unit = RECORD.itemsize
        raise UserError(f"{path}: has {size} bytes; expected {unit} for each Gaussian; copy or export it again")
    return np.fromfile(path, RECORD)
