"""`params.npz`, the result file of Dynamic 3D Gaussians (Luiten et al. 2024): read and written bit for bit.

T moments of N Gaussians as float32, with C cameras that had a colour correction while training:

| key | shape | |
|---|---|---|
| `means3D` | [T, N, 3] | world units |
| `rgb_colors` | [T, N, 3] | [N, 3] where colours never change |
| `unnorm_rotations` | [T, N, 4] | wxyz, any length |
| `seg_colors` | [N, 3] | (s, 0, 1 - s) with s = 1 for what may move |
| `logit_opacities`, `log_scales` | [N, 1], [N, 3] | of the whole clip |
| `cam_m`, `cam_c` | [C, 3] | pixels are exp(m) times the colour, plus c |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from scene.formats import SplatArrays
from scene.motion.trajectories import Trajectories
from utils.errors import UserError
from utils.npz import read_npz, write_npz
from utils.progress import warn
from utils.spherical_harmonics import rgb_to_sh, sh_to_rgb

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel

NUM_CAMERAS = 50  # rows of cam_m and cam_c that the original always has
REQUIRED = {"means3D": 3, "unnorm_rotations": 4, "log_scales": 3, "logit_opacities": 1}
OPTIONAL = ("seg_colors", "cam_m", "cam_c")


def _no_correction() -> np.ndarray:
    return np.zeros((NUM_CAMERAS, 3), np.float32)


@dataclass(frozen=True, eq=False)
class TrackedParams:
    """A tracked clip as this format has it."""

    arrays: SplatArrays
    """At the first moment, SH degree 0; `motion_code` [N, 2] = share of what may move, and zeros: no births."""
    trajectories: Trajectories
    """With colours, and quaternions as they are stored; moments evenly spread over 0..1."""
    cam_m: np.ndarray = field(default_factory=_no_correction)  # [C, 3]
    cam_c: np.ndarray = field(default_factory=_no_correction)  # [C, 3]


def read_params_npz(path: Path | str) -> TrackedParams:
    """Reads a clip; Gaussians whose values are not finite are dropped with a warning.

    Raises:
        UserError: damaged, keys missing, other shapes, or no Gaussian in it.
    """
    found = _checked(path, read_npz(path))
    finite = _finite_rows(found)
    if not finite.all():
        warn(f"{path}: dropped {int((~finite).sum())} of {len(finite)} Gaussians whose values are not finite")
        found = {name: value if name.startswith("cam_") else _rows(value, finite) for name, value in found.items()}
    means, quats, colors = (torch.from_numpy(found[name]) for name in ("means3D", "unnorm_rotations", "rgb_colors"))
    times = torch.linspace(0, 1, len(means), dtype=torch.float64)
    trajectories = Trajectories(times, means, quats, colors)
    arrays = _arrays_of(trajectories, found["logit_opacities"], found["log_scales"], found["seg_colors"][:, 0])
    return TrackedParams(arrays, trajectories, found["cam_m"], found["cam_c"])


def write_params_npz(path: Path | str, params: TrackedParams) -> None:
    """Writes a clip, uncompressed as the original does; moments must be evenly spread, which is not written."""
    arrays, poses = params.arrays, params.trajectories
    share = arrays.motion_code[:, 0]
    write_npz(
        path,
        {
            "means3D": poses.means.cpu().numpy(),
            "rgb_colors": _colors_of(poses, arrays).cpu().numpy(),
            "unnorm_rotations": poses.quats_wxyz.cpu().numpy(),
            "seg_colors": np.stack([share, np.zeros_like(share), 1 - share], axis=1),
            "logit_opacities": arrays.opacity,
            "log_scales": arrays.scaling,
            "cam_m": params.cam_m,
            "cam_c": params.cam_c,
        },
        compress=False,
    )


@torch.no_grad()
def tracked_params_of(model: GaussianModel, times: Sequence[float] | None = None) -> TrackedParams:
    """Any model as a clip of this format, which knows neither views' colours nor sizes that change.

    Args:
        model: static, or of any motion.
        times: moments, evenly spread over 0..1; None = those of a tracked model, whose values are taken as they are.
    """
    if model.max_sh_degree > 0:
        warn(f"params.npz has no colours by direction: SH degree {model.max_sh_degree} is left out, its mean stays")
    own = getattr(model.motion, "trajectories", None)
    if times is None and own is None:
        raise UserError("the model has no moments of its own; expected the times to be written; name them")
    stored = model.to_arrays()
    code = stored.motion_code if own is not None else None
    if code is not None and code[:, 1].any():
        warn(f"params.npz has no births: {int((code[:, 1] > 0).sum())} later Gaussians are there from the start")
    poses, scaling = (own.to("cpu"), stored.scaling) if times is None else _sampled(model, times)
    share = _moving_share(poses, scaling) if code is None else code[:, 0]
    poses = Trajectories(poses.times, poses.means, poses.quats_wxyz, _colors_of(poses, stored))
    return TrackedParams(_arrays_of(poses, stored.opacity, scaling, share), poses)


def _sampled(model: GaussianModel, times: Sequence[float]) -> tuple[Trajectories, np.ndarray]:
    """Poses at these times, and logarithms of the scales at the first."""
    means, quats, colors = [], [], []
    for time in times:
        now = model.at(time)
        means.append(now.means.cpu())
        quats.append(now.quats_wxyz.cpu())
        colors.append((sh_to_rgb(now.sh[:, 0]) if now.colors is None else now.colors).cpu())
    scaling = model.at(times[0]).scales.log().cpu().numpy()
    moments = torch.tensor(times, dtype=torch.float64)
    return Trajectories(moments, torch.stack(means), torch.stack(quats), torch.stack(colors)), scaling


def _moving_share(poses: Trajectories, scaling: np.ndarray) -> np.ndarray:
    """[N] 1 for what ever gets farther from its first place than its own largest standard deviation, else 0."""
    travel = (poses.means - poses.means[:1]).norm(dim=-1).amax(0)
    return (travel.numpy() > np.exp(scaling.max(axis=1))).astype(np.float32)


def _colors_of(poses: Trajectories, arrays: SplatArrays) -> Tensor:
    """[T, N, 3] RGB."""
    if poses.colors is not None:
        return poses.colors
    return torch.from_numpy(sh_to_rgb(arrays.f_dc[:, 0])).expand(len(poses.times), -1, -1)


def _arrays_of(poses: Trajectories, opacity: np.ndarray, scaling: np.ndarray, share: np.ndarray) -> SplatArrays:
    """The Gaussians at the first moment."""
    means, quats, colors = (value[0].numpy() for value in (poses.means, poses.quats_wxyz, poses.colors))
    f_dc = rgb_to_sh(colors).astype(np.float32)[:, None]
    code = np.stack([share, np.zeros_like(share)], axis=1)
    f_rest = np.zeros((len(means), 0, 3), np.float32)
    return SplatArrays(means, f_dc, f_rest, opacity, scaling, quats, motion_code=code)


def _checked(path: Path | str, found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of the table in the module's text, as native float32; absent optional ones are filled in."""
    if missing := [name for name in (*REQUIRED, "rgb_colors") if name not in found]:
        raise UserError(f"{path}: has no {', '.join(missing)}; expected a params.npz of Dynamic 3D Gaussians")
    means = found["means3D"]
    num_times, count = means.shape[:2] if means.ndim == 3 else (0, 0)
    if num_times == 0 or means.shape[2] != 3:
        raise UserError(f"{path}: means3D is {list(means.shape)}; expected [T, N, 3]; write the file again")
    if count == 0:
        cause = "every Gaussian was pruned, which wrong poses or a wrong point cloud do"
        raise UserError(f"{path}: holds no Gaussian; expected some ({cause}); mend the data and train again")
    shapes = {name: (count, width) for name, width in REQUIRED.items()} | {"seg_colors": (count, 3)}
    shapes |= {name: (num_times, count, REQUIRED[name]) for name in ("means3D", "unnorm_rotations")}
    shapes["rgb_colors"] = (count, 3) if found["rgb_colors"].ndim == 2 else (num_times, count, 3)
    num_cameras = found.get("cam_m", np.zeros((NUM_CAMERAS, 3))).shape[:1] or (0,)
    shapes |= {"cam_m": (*num_cameras, 3), "cam_c": (*num_cameras, 3)}
    absent = {name: np.zeros(shapes[name], np.float32) for name in OPTIONAL if name not in found}
    if "seg_colors" in absent:
        absent["seg_colors"][:, 0] = 1  # everything may move
    arrays = {name: _float32(path, name, {**found, **absent}[name], shape) for name, shape in shapes.items()}
    if arrays["rgb_colors"].ndim == 2:
        arrays["rgb_colors"] = np.repeat(arrays["rgb_colors"][None], num_times, axis=0)
    return arrays


def _float32(path: Path | str, name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if value.shape != shape or value.dtype.kind != "f":
        raise UserError(f"{path}: {name} is {value.dtype} {list(value.shape)}; expected float32 {list(shape)}")
    return np.ascontiguousarray(value, np.float32)


def _finite_rows(found: Mapping[str, np.ndarray]) -> np.ndarray:
    """[N] bool"""
    finite = np.ones(found["means3D"].shape[1], bool)
    for name, value in found.items():
        if not name.startswith("cam_"):
            finite &= np.isfinite(value).all(axis=-1).reshape(-1, len(finite)).all(axis=0)
    return finite


def _rows(value: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Chosen Gaussians of an array [T, N, D] or [N, D]."""
    return value[..., chosen, :]
