"""Options of scenes in which things move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg


@dataclass(frozen=True)
class MotionParams:
    """How Gaussians move over time."""

    motion: Literal["auto", "static", "deform_mlp", "motion_bases", "per_timestep"] = "auto"
    """motion_bases: blended rigid ones; deform_mlp: Deformable 3DGS's network; per_timestep: from moment to moment."""
    is_blender: bool = False
    """deform_mlp of synthetic scenes: a small network of the time, no noise on it; chosen by itself for D-NeRF data."""
    is_6dof: bool = False
    """deform_mlp: positions move by a screw motion (rotation and shift) instead of a shift."""
    warm_up: int = 3000
    """Step until which nothing moves."""
    grow_steps: int = 0
    """Step until which the pictures used grow from a short time in the middle to all; 0 = all from the start."""
    stop_MLP: int = 30_000
    """Step at which the training of the motion stops."""
    deform_lr_init: float = 8e-4
    """First learning rate of the motion's networks."""
    deform_lr_final: float = 1.6e-6
    """Last learning rate of the motion's networks."""
    deform_lr_max_steps: int = 40_000
    """Step at which the motion reaches its last learning rate."""
    time_noise_steps: int = 20_000
    """Steps over which the noise on the time of real data fades (annealing smooth training)."""
    lambda_offset: float | None = None
    """Weight of the mean distance that Gaussians move, in radii of the scene; left out = 0.03 for deform_mlp or 0."""
    num_bases: int = 64
    """motion_bases: number of rigid motions that are blended."""
    motion_code_lr: float = 0.01
    """motion_bases: learning rate of each Gaussian's shares of them."""
    compat: bool = False
    """What Deformable 3DGS does, step by step: all of its behaviours below, and its schedule."""
    compat_init: bool = False
    """deform_mlp: torch's usual random start of the last layers, so that everything moves a little at first."""
    compat_quat: bool = False
    """deform_mlp: rotations keep the length that the offset gives them, which also scales the Gaussians."""
    compat_ast: Annotated[bool, arg(aliases=["--ast_compat"])] = False
    """Noise on the time by the pictures left in the round, which grows, instead of by the time between pictures."""
    compat_scale: bool = False
    """Positions learn 5 times --position_lr_init whatever the size of the scene, which is not normalised either."""
    compat_speed: bool = False
    """deform_mlp: evaluate the network as it is written, in float32."""
    load2gpu_on_the_fly: bool = False
    """Accepted for old command lines; without effect, --data_device says where pictures are kept."""
