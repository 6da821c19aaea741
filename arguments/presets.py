"""Defaults that depend on what is trained: scenes in which things move have a schedule of their own."""

from __future__ import annotations

from typing import Any

from arguments.motion_params import MotionParams
from arguments.params import ModelParams, OptimizationParams, SemanticParams, TrainParams

Preset = dict[type, dict[str, Any]]

MOVING_ITERATIONS = 40_000
MOVING_BUDGET = 500_000  # Gaussians: wrong poses make them grow without end
MCMC_CAP = 1_000_000  # Gaussians
MCMC_SHARE = 25 / 30  # of the steps in which Gaussians are relocated
MLP_SHARE = 0.75  # of the steps come before semantics, which find the motion finished (DGD)


def moving_preset(iterations: int = MOVING_ITERATIONS, distils: bool = False, compat: bool = False) -> Preset:
    """Defaults of moving scenes, after Deformable 3DGS and DGD (their effective values).

    Args:
        iterations: length of the run; the steps of the schedule shrink with it, but not with `compat`.
        distils: whether features are distilled; the motion then stops before.
        compat: all that Deformable 3DGS does, and nothing that is ours.
    """

    def steps(count: int) -> int:
        return count if compat else max(1, round(count * iterations / MOVING_ITERATIONS))

    semantic_start = steps(round(MLP_SHARE * MOVING_ITERATIONS))
    return {
        OptimizationParams: {
            "iterations": iterations,
            "position_lr_max_steps": steps(30_000),
            "opacity_lr": 0.05,
            "densify_from_iter": 500 if compat else min(500, max(1, iterations // 20)),
            "densify_until_iter": steps(15_000),
            "opacity_reset_interval": steps(3000),
            "max_gaussians": 0 if compat else MOVING_BUDGET,
        },
        SemanticParams: {
            "semantic_feature_lr": 0.0025,
            "loss_reduce": 0.5,
            "semantic_start": semantic_start,
            "lift_iteration": semantic_start,
            "semantic_stop": steps(MOVING_ITERATIONS),
        },
        MotionParams: {
            "warm_up": 3000 if compat else steps(500),
            "grow_steps": 0 if compat else steps(28_000),
            "stop_MLP": semantic_start if distils else steps(MOVING_ITERATIONS) + 1,
            "deform_lr_max_steps": steps(40_000),
            "lambda_offset": 0.0 if compat else None,
            "time_noise_steps": steps(20_000),
            **{name: compat for name in ("compat_init", "compat_quat", "compat_ast", "compat_scale", "compat_speed")},
        },
        TrainParams: {
            "test_iterations": (steps(7000), iterations),
            "save_iterations": (iterations,),
            "cuda_graph": not compat,
        },
    }


def implied_preset(model: ModelParams, optimization: OptimizationParams) -> Preset:
    """Defaults that follow from single flags: what --train_test_exp and --densification mcmc bring with them."""
    preset: Preset = {}
    if model.train_test_exp:
        preset[ModelParams] = {"exposure": True}
    if optimization.densification == "mcmc":
        stop = round(MCMC_SHARE * optimization.iterations)
        preset[OptimizationParams] = {"densify_until_iter": stop, "max_gaussians": MCMC_CAP}
    return preset


def combined(first: Preset, *others: Preset) -> Preset:
    """One preset of several; later ones win, field by field."""
    result = dict(first)
    for preset in others:
        for group, values in preset.items():
            result[group] = {**result.get(group, {}), **values}
    return result
