"""Where the Gaussians start: at points, at random, or from a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import ndraster
import numpy as np
import torch
from torch import Tensor, nn

from scene.formats import read_splats
from scene.gaussian_model import FEATURE_NAME, GaussianModel
from scene.motion import CODE_NAME
from scene.scene_info import CameraInfo, PointCloud, SceneInfo
from utils.errors import UserError
from utils.progress import warn
from utils.spherical_harmonics import num_sh_coefficients, rgb_to_sh

INITIAL_OPACITY = 0.1
MIN_DISTANCE2 = 1e-7
"""Squared neighbour distance below which points count as one, world units squared."""
GREY_SPREAD = 1 / 255
"""Random SH coefficients are uniform in 0..1/255: almost mid grey."""

Box = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class InitOptions:
    """How a model starts."""

    mode: str = "auto"
    """auto: points if there are any, else random; points; random."""
    count: int = 100_000
    """Number of random points."""
    sh_degree: int = 3
    feature_dim: int = 0
    """Width of the semantic features; 0 = none."""
    seed: int = 0
    opacity: float = INITIAL_OPACITY
    size: float = 1.0
    """Width of the Gaussians in distances to their neighbours."""


def initial_model(info: SceneInfo, options: InitOptions, device: torch.device | str) -> GaussianModel:
    """The starting model of a scene."""
    if options.mode not in ("auto", "points", "random"):
        raise UserError(f"--init {options.mode}: expected auto, points or random")
    if options.mode == "points" and info.points is None:
        raise UserError(f"{info.root}: has no point cloud; expected one for --init points, use --init random")
    if info.points is None or options.mode == "random":
        return from_random(options, info.random_box or camera_box(info.train), device)
    model = from_points(info.points, options.sh_degree, options.feature_dim, device)
    return _restarted(model, options)


def from_points(cloud: PointCloud, sh_degree: int, feature_dim: int, device: torch.device | str) -> GaussianModel:
    """One round, faint Gaussian per point, as wide as the distance to its neighbours (static 3DGS, initialisation).

    Args:
        cloud: positions in world units and colours in 0..1.
        sh_degree: highest SH degree to be trained; degree 0 is active at first.
        feature_dim: width D of the semantic features, which start at zero; 0 = none.
        device: where the parameters live.
    """
    if len(cloud) == 0:
        raise UserError("the point cloud is empty; expected at least one point, use --init random")
    positions = torch.from_numpy(np.ascontiguousarray(cloud.positions, np.float32)).to(device)
    coefficients = rgb_to_sh(torch.from_numpy(np.ascontiguousarray(cloud.colors, np.float32)).to(device))
    model = _from_tensors(positions, coefficients, sh_degree, feature_dim)
    if cloud.foreground is not None:
        share = torch.from_numpy(np.ascontiguousarray(cloud.foreground, np.float32)).to(device)
        model.params[CODE_NAME] = nn.Parameter(torch.stack([share, torch.zeros_like(share)], dim=1))
    return model


def from_random(options: InitOptions, box: Box, device: torch.device | str) -> GaussianModel:
    """Grey points spread evenly in a box (low, high corners); the seed decides where."""
    if options.count < 1:
        raise UserError(f"--init_count {options.count}: expected at least 1")
    generator = torch.Generator().manual_seed(options.seed)
    low, high = (torch.as_tensor(corner, dtype=torch.float32) for corner in box)
    positions = low + (high - low) * torch.rand((options.count, 3), generator=generator)
    coefficients = torch.rand((options.count, 3), generator=generator) * GREY_SPREAD
    model = _from_tensors(positions.to(device), coefficients.to(device), options.sh_degree, options.feature_dim)
    return _restarted(model, options)


def from_ply(
    path: Path | str,
    sh_degree: int | None = None,
    feature_dim: int | None = None,
    device: torch.device | str = "cpu",
) -> GaussianModel:
    """The Gaussians of a splat file.

    Args:
        path: `.ply` or another known splat format.
        sh_degree: pads a file of lower degree with zeros; a higher degree in the file is kept. None = the file's.
        feature_dim: width that the features must have; other features are replaced by zeros with a warning.
            None = as in the file.
        device: where the parameters live.
    """
    model = GaussianModel.from_arrays(read_splats(path), device)
    if sh_degree is not None and sh_degree > model.max_sh_degree:
        model = _with_degree(model, sh_degree)
    if feature_dim is None or feature_dim == model.feature_dim:
        return model
    if model.feature_dim:
        warn(f"{path}: its features of width {model.feature_dim} are dropped; {feature_dim} are to be trained")
    features = torch.zeros((len(model), feature_dim), device=device) if feature_dim else None
    return model.with_features(features)


def camera_box(cameras: tuple[CameraInfo, ...]) -> Box:
    """A cube for random points: around what the cameras look at, reaching to the typical camera.

    The centre is the point nearest to all optical axes in the least-squares sense.
    """
    centers = np.stack([camera.center for camera in cameras])
    forward = np.stack([camera.world_to_camera[2, :3] for camera in cameras])
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    # Parallel axes have no nearest point; a slight pull towards the cameras' mean decides then.
    pull = 1e-3 * len(cameras) * np.eye(3)
    target = np.einsum("nij,nj->i", across, centers) + pull @ centers.mean(axis=0)
    focus = np.linalg.solve(across.sum(axis=0) + pull, target)
    half = float(np.median(np.linalg.norm(centers - focus, axis=1))) or 1.0
    return tuple(focus - half), tuple(focus + half)


def _from_tensors(positions: Tensor, coefficients: Tensor, sh_degree: int, feature_dim: int) -> GaussianModel:
    """Parameters [P, ...] for positions [P, 3] and constant SH coefficients [P, 3]."""
    count, device = positions.shape[0], positions.device
    distance2 = ndraster.mean_neighbour_distance2(positions).to(device).clamp_min(MIN_DISTANCE2)
    params = {
        "xyz": positions.clone(),
        "f_dc": coefficients[:, None, :].clone(),
        "f_rest": torch.zeros((count, num_sh_coefficients(sh_degree) - 1, 3), device=device),
        "opacity": torch.logit(torch.full((count, 1), INITIAL_OPACITY, device=device)),
        "scaling": (0.5 * distance2.log())[:, None].repeat(1, 3),
        "rotation": torch.tensor([1.0, 0.0, 0.0, 0.0], device=device).repeat(count, 1),
    }
    if feature_dim:
        params[FEATURE_NAME] = torch.zeros((count, feature_dim), device=device)
    return GaussianModel(params, active_sh_degree=0)


@torch.no_grad()
def _restarted(model: GaussianModel, options: InitOptions) -> GaussianModel:
    """The same model with the opacity and the relative size that the options ask for."""
    if options.opacity != INITIAL_OPACITY:
        model.params["opacity"].fill_(math.log(options.opacity / (1 - options.opacity)))
    if options.size != 1.0:
        model.params["scaling"].add_(math.log(options.size))
    return model


def _with_degree(model: GaussianModel, sh_degree: int) -> GaussianModel:
    """The same colours with room for a higher degree; everything stays active."""
    params = {name: value.detach() for name, value in model.params.items()}
    missing = num_sh_coefficients(sh_degree) - 1 - params["f_rest"].shape[1]
    params["f_rest"] = torch.nn.functional.pad(params["f_rest"], (0, 0, 0, missing))
    return GaussianModel(params, sh_degree, model.motion)
