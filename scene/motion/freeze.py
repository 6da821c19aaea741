"""One moment of a moving scene as a scene of its own."""

from __future__ import annotations

import torch
from ndraster.reference import rotation_matrices
from torch import Tensor, nn

from scene.gaussian_model import FEATURE_NAME, PARAMETER_NAMES, GaussianModel
from utils.spherical_harmonics import rgb_to_sh
from utils.transforms import matrix_to_quaternion

MIN_SCALE = 1e-12  # world units; its logarithm is finite
UNIT_TOLERANCE = 1e-4
INVISIBLE_LOGIT = -20.0  # of an opacity that no picture shows


@torch.no_grad()
def frozen_at(model: GaussianModel, time: float) -> GaussianModel:
    """The Gaussians as they are at a moment in 0..1, in the same order; nothing moves any more.

    Positions, rotations and sizes are those of the moment, and colours where the motion has some that do not depend on
    the view; what is born later is invisible; all else is the model's own. A size that a motion made negative is stored
    without its sign, which no covariance shows.
    """
    moment = model.at(time)
    quats, scales = _unit_frames(moment.quats_wxyz, moment.scales)
    moved = {"xyz": moment.means, "rotation": quats, "scaling": scales.abs().clamp_min(MIN_SCALE).log()}
    moved["opacity"] = model.params["opacity"].masked_fill(moment.opacities[:, None] == 0, INVISIBLE_LOGIT)
    if moment.colors is not None:
        moved |= {"f_dc": rgb_to_sh(moment.colors)[:, None], "f_rest": torch.zeros_like(model.params["f_rest"])}
    kept = {name: model.params[name] for name in (*PARAMETER_NAMES, FEATURE_NAME) if name in model.params}
    frozen = {name: nn.Parameter(value.detach(), requires_grad=False) for name, value in (kept | moved).items()}
    return GaussianModel(frozen, model.active_sh_degree)


def _unit_frames(quats_wxyz: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Quaternions [N, 4] of length 1 and sizes [N, 3] with the same covariances.

    The rasterizer uses quaternions as given, and those of Deformable 3DGS's motion have any length, which also scales
    and shears. A stored quaternion is only a rotation, so these Gaussians get the axes and sizes of what is drawn.
    """
    quats, scales = quats_wxyz.clone(), scales.clone()
    off = (quats.norm(dim=1) - 1).abs() > UNIT_TOLERANCE
    axes, sizes, _ = torch.linalg.svd(rotation_matrices(quats[off]) * scales[off][:, None, :])
    quats[off] = matrix_to_quaternion(axes * torch.linalg.det(axes)[:, None, None].sign())
    scales[off] = sizes
    return quats, scales
