"""Options of scenes recorded by a rig of cameras, followed from moment to moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrackingParams:
    """How Gaussians are followed through time (`--motion per_timestep`, after Dynamic 3D Gaussians)."""

    preset: Literal["tracking", "d3dg_compat"] = "tracking"
    """d3dg_compat: the constants and the behaviour of Dynamic 3D Gaussians as it was published."""
    first_iterations: int = 10_000
    """Steps for the first moment, which makes the Gaussians; left out, 370 for each of its pictures at most."""
    step_iterations: int = 1000
    """Steps for every other moment, which moves them; fewer where --settle_tolerance is met."""
    settle_tolerance: float = 0.01
    """A moment is done when a hundred steps lower its loss by less than this share; 0 = all steps."""
    mask_free: bool = False
    """Everything may move, whatever the foreground masks say; chosen by itself where there are none."""
    find_resting: bool = True
    """Without masks: Gaussians at which some cameras never see a change stand still."""
    propagation: Literal["velocity", "velocity_so3", "damped", "none"] = "velocity_so3"
    """First guess of a moment: on at the same velocity (turns along a line, or on the sphere), or slower, or not."""
    damping: float = 0.7
    """Share of the velocity that --propagation damped keeps."""
    parts: bool = True
    """Find the motion of whole things and of their parts too, not of single Gaussians only."""
    part_rotation_lr: float = 0.002
    """Learning rate of the turns of parts, in rad."""
    color_mode: Literal["frozen", "soft", "free", "gain"] = "soft"
    """Colours after the first moment: fixed; held back; free; or one gain each for foreground and background."""
    fixed_background: bool = True
    """The background stays as it is; else --lambda_background holds it."""
    track_position_lr: float = 0.00016
    """Learning rate of positions after the first moment, times the extent of the scene."""
    track_rotation_lr: float = 0.001
    """Learning rate of rotations after the first moment."""
    track_color_lr: float = 0.001
    """Learning rate of colours after the first moment; higher ones repaint a thing instead of turning it."""
    resting_color_lr: float = 0.0025
    """The same of what does not move, on which shadows fall."""
    track_lr_decay: float = 0.1
    """Factor that the learning rates have reached at the end of each moment; 1 = none."""
    lambda_foreground: float = 3.0
    """Weight of the loss between rendered and given foreground masks."""
    lambda_rigid: float = 4.0
    """Weight of local rigidity: neighbours keep their place in a Gaussian's frame."""
    lambda_rotation: float = 4.0
    """Weight of neighbours turning alike."""
    lambda_isometry: float = 2.0
    """Weight of neighbours keeping their first distance."""
    lambda_floor: float = 0.0
    """Weight of staying above the floor y = 0 (y points down); only where that is the floor."""
    lambda_background: float = 20.0
    """Weight of the background staying, without --fixed_background."""
    lambda_color: float = 0.01
    """Weight of colours staying as they were, with --color_mode soft."""
    num_neighbours: int = 20
    """Neighbours of each Gaussian that may move."""
    neighbour_falloff: float = 0.0
    """Neighbours at distance d weigh exp(-falloff d^2); 0 = such that a usual neighbour weighs a half."""
    cut_strain: float = 0.2
    """A pair is cut where its distance differs by more than this share from the first one; 0 = never."""
    cut_after: int = 5
    """Moments that the strain must last."""
    births: bool = True
    """Make Gaussians for things that come into view after the first moment."""
    birth_check: float = 0.3
    """Share of each moment's steps after which newcomers are looked for."""
    birth_moments: int = 3
    """Moments in which the opacity and size of newborn Gaussians are still found."""
    max_displacement: float = 0.2
    """Stop with advice where what may move has moved by more than this share of the extent at once; 0 = never."""
    max_drop_db: float = 3.0
    """Stop with advice where the PSNR of a moment is so much below that of the one before; 0 = never."""
    track_precision: Literal["compact", "float32"] = "compact"
    """How poses are stored: 16 bits in the box of the scene, or as they are."""
