"""Defaults of scenes that are followed from moment to moment."""

from __future__ import annotations

from arguments.params import ModelParams, OptimizationParams, TrainParams
from arguments.presets import Preset
from arguments.tracking_params import TrackingParams

FIRST_RESET = 0.3  # of the first moment's steps
STEPS_PER_PICTURE = 370  # of the first moment, as in the published clips: 10 000 for 27 pictures
PIXELS_PER_GAUSSIAN = 25  # as in the published clips: 27 pictures of 640x360 for 250 000 Gaussians
COMPAT = {
    "step_iterations": 2000,
    "settle_tolerance": 0.0,
    "propagation": "velocity",
    "color_mode": "free",
    "fixed_background": False,
    "parts": False,
    "track_color_lr": 0.0025,
    "track_lr_decay": 1.0,
    "lambda_floor": 2.0,
    "neighbour_falloff": 2000.0,
    "cut_strain": 0.0,
    "births": False,
    "find_resting": False,
    "max_displacement": 0.0,
}


def usual_first_iterations(tracking: TrackingParams, num_pictures: int) -> int:
    """Steps for the first moment: a few pictures are soon known by heart, and then what is between them gets worse."""
    most = TrackingParams.first_iterations
    return most if tracking.preset == "d3dg_compat" else min(most, STEPS_PER_PICTURE * num_pictures)


def tracking_preset(tracking: TrackingParams, num_times: int, num_pixels: int = 0) -> Preset:
    """Defaults of a rig's scene with so many moments (Dynamic 3D Gaussians, Luiten et al. 2024).

    `num_pixels` of all training pictures of one moment limit the Gaussians: more than they can tell apart are free to
    wander, and are lost. 0 = no limit.
    """
    compat, first = tracking.preset == "d3dg_compat", tracking.first_iterations
    total = first + (num_times - 1) * tracking.step_iterations
    return {
        ModelParams: {"sh_degree": 0},
        OptimizationParams: {
            "iterations": total,
            "position_lr_final": 0.00016 if compat else 0.0000016,
            "position_lr_max_steps": first,
            "opacity_lr": 0.05,
            "scaling_lr": 0.001 if compat else 0.005,
            "densify_from_iter": min(500, first // 20),
            "densify_until_iter": first // 2 + 1,
            "opacity_reset_interval": max(1, round(FIRST_RESET * first)),
            "max_gaussians": 0 if compat else num_pixels // PIXELS_PER_GAUSSIAN,
        },
        TrackingParams: {"preset": tracking.preset, "first_iterations": first, **(COMPAT if compat else {})},
        TrainParams: {"test_iterations": (first, total), "save_iterations": (total,)},
    }
