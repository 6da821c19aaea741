"""arguments/tracking_preset.py"""

from arguments import (
    OptimizationParams,
    TrackingParams,
    TrainParams,
    parse,
    tracking_preset,
    usual_first_iterations,
)

GROUPS = (OptimizationParams, TrackingParams, TrainParams)


def parsed(words: list[str], moments: int = 5, pixels: int = 0) -> tuple:
    """Options of a rig with so many moments, as train.py reads them."""
    tracking = parse("test", *GROUPS, args=words)[1]
    for _ in range(2):
        groups = parse("test", *GROUPS, args=words, preset=tracking_preset(tracking, moments, pixels))
        tracking = groups[1]
    return groups


def test_the_steps_of_all_moments_add_up():
    optimization, tracking, train = parsed(["--first_iterations", "400", "--step_iterations", "50"])
    assert optimization.iterations == 400 + 4 * 50
    assert optimization.densify_until_iter <= 400 and optimization.position_lr_max_steps == 400
    assert train.test_iterations == (400, 600) and tracking.fixed_background


def test_compat_has_the_published_constants():
    optimization, tracking, _ = parsed(["--preset", "d3dg_compat"], moments=150)
    assert optimization.iterations == 10_000 + 149 * 2000
    assert (tracking.neighbour_falloff, tracking.lambda_floor, tracking.color_mode) == (2000, 2, "free")
    assert not tracking.fixed_background and not tracking.parts and tracking.track_lr_decay == 1
    assert optimization.position_lr_init == optimization.position_lr_final


def test_the_command_line_wins():
    optimization, tracking, _ = parsed(["--preset", "d3dg_compat", "--step_iterations", "10", "--parts"])
    assert optimization.iterations == 10_000 + 40 and tracking.parts


def test_pictures_limit_the_gaussians_of_ours_alone():
    assert parsed([], pixels=1000)[0].max_gaussians == 40
    assert parsed(["--max_gaussians", "7"], pixels=1000)[0].max_gaussians == 7
    assert parsed(["--preset", "d3dg_compat"], pixels=1000)[0].max_gaussians == 0


def test_few_pictures_get_few_steps():
    assert usual_first_iterations(TrackingParams(), 4) == 1480
    assert usual_first_iterations(TrackingParams(), 31) == 10_000
    assert usual_first_iterations(TrackingParams(preset="d3dg_compat"), 4) == 10_000
