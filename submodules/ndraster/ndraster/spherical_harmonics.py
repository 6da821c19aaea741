"""Real spherical harmonics up to degree 3 in the order and signs of the 3DGS file format."""

from __future__ import annotations

import torch
from torch import Tensor

SH_0 = 0.28209479177387814
SH_1 = 0.4886025119029199
SH_2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
SH_3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """Basis values [N, (degree+1)^2] for unit directions [N, 3] (world axes, camera to Gaussian)."""
    x, y, z = directions.unbind(-1)
    values = [torch.full_like(x, SH_0)]
    if degree >= 1:
        values += [-SH_1 * y, SH_1 * z, -SH_1 * x]
    if degree >= 2:
        a = SH_2
        values += [a[0] * x * y, a[1] * y * z, a[2] * (2 * z * z - x * x - y * y), a[3] * x * z]
        values += [a[4] * (x * x - y * y)]
    if degree >= 3:
        b = SH_3
        values += [b[0] * y * (3 * x * x - y * y), b[1] * x * y * z, b[2] * y * (4 * z * z - x * x - y * y)]
        values += [b[3] * z * (2 * z * z - 3 * x * x - 3 * y * y), b[4] * x * (4 * z * z - x * x - y * y)]
        values += [b[5] * z * (x * x - y * y), b[6] * x * (x * x - 3 * y * y)]
    return torch.stack(values, dim=-1)


def sh_to_color(sh: Tensor, directions: Tensor, degree: int) -> Tensor:
    """View-dependent RGB [N, 3]: max(0, 0.5 + basis . sh) of coefficients [N, K, 3]; the clamp stops the gradient."""
    basis = sh_basis(directions, degree)
    color = 0.5 + (basis[:, :, None] * sh[:, : basis.shape[1]]).sum(1)
    return color.clamp_min(0.0)
