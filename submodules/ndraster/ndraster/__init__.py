"""ndraster: differentiable Gaussian splatting of colour, depth and features of any width.

One function, `rasterize`, on three backends: `reference` (plain PyTorch, the specification), `cpu` (C++) and `cuda`.
"""

from ndraster.activation import activate, add_screen_gradients
from ndraster.adam import adam_step, has_adam
from ndraster.backends import BackendError, available_backends, choose_backend
from ndraster.deform_mlp import DeformWeights, deform_mlp, has_deform_mlp
from ndraster.distill import can_sample, distill_loss, feature_distance, sample_features
from ndraster.lift import FeatureLift, Lifted, lift
from ndraster.neighbours import mean_neighbour_distance2, nearest_neighbours
from ndraster.placement import CellGrid, read_bilinear
from ndraster.rasterize import rasterize
from ndraster.rigidity import Neighbourhood, rigidity_losses
from ndraster.ssim import photometric_loss, ssim
from ndraster.types import Gaussians, PinholeCamera, RasterOutput, Settings, ShapeError

__all__ = [
    "CellGrid",
    "read_bilinear",
    "BackendError",
    "DeformWeights",
    "FeatureLift",
    "Gaussians",
    "Lifted",
    "Neighbourhood",
    "PinholeCamera",
    "RasterOutput",
    "Settings",
    "ShapeError",
    "activate",
    "adam_step",
    "add_screen_gradients",
    "available_backends",
    "can_sample",
    "choose_backend",
    "deform_mlp",
    "distill_loss",
    "feature_distance",
    "has_adam",
    "has_deform_mlp",
    "lift",
    "mean_neighbour_distance2",
    "nearest_neighbours",
    "photometric_loss",
    "rasterize",
    "rigidity_losses",
    "sample_features",
    "ssim",
]
