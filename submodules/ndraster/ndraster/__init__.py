"""ndraster: differentiable Gaussian splatting of colour, depth and features of any width.

One function, `rasterize`, on three backends: `reference` (plain PyTorch, the specification), `cpu` (C++) and `cuda`.
"""

from ndraster.backends import BackendError, available_backends, choose_backend
from ndraster.neighbours import mean_neighbour_distance2
from ndraster.rasterize import rasterize
from ndraster.ssim import ssim
from ndraster.types import Gaussians, PinholeCamera, RasterOutput, Settings, ShapeError

__all__ = [
    "BackendError",
    "Gaussians",
    "PinholeCamera",
    "RasterOutput",
    "Settings",
    "ShapeError",
    "available_backends",
    "choose_backend",
    "mean_neighbour_distance2",
    "rasterize",
    "ssim",
]
