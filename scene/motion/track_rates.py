"""Learning rates of what is trained of a moment, at its start."""

from __future__ import annotations

from arguments import TrackingParams
from scene.motion.births import RATES
from scene.motion.parts import NUM_LEVELS


def first_rates(tracking: TrackingParams, extent: float) -> dict[str, float]:
    """By the name of the parameter; positions scale with the extent of the scene, world units."""
    rates = {"means": tracking.track_position_lr * extent, "quats": tracking.track_rotation_lr}
    if tracking.color_mode in ("soft", "free"):
        rates |= {"colors": tracking.track_color_lr, "resting_colors": tracking.resting_color_lr}
    elif tracking.color_mode == "gain":
        rates["gains"] = tracking.track_color_lr
    for number in range(NUM_LEVELS if tracking.parts else 0):
        rates |= {f"turns{number}": tracking.part_rotation_lr, f"shifts{number}": rates["means"]}
    return rates | RATES
