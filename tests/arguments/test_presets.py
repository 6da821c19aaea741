"""arguments/presets.py: defaults of moving scenes."""

from __future__ import annotations

from arguments import (
    ModelParams,
    MotionParams,
    OptimizationParams,
    PipelineParams,
    SemanticParams,
    TrainParams,
    combined,
    implied_preset,
    moving_preset,
    parse,
)

GROUPS = (ModelParams, PipelineParams, OptimizationParams, SemanticParams, MotionParams, TrainParams)


def parsed(*words: str, **given) -> dict[type, object]:
    return dict(zip(GROUPS, parse("Train.", *GROUPS, args=words, preset=moving_preset(**given)), strict=True))


def test_defaults_are_the_effective_ones_of_dgd():
    groups = parsed(distils=True, compat=True)
    optimization, semantic, motion = groups[OptimizationParams], groups[SemanticParams], groups[MotionParams]
    assert (optimization.iterations, optimization.densify_until_iter, optimization.opacity_lr) == (40_000, 15_000, 0.05)
    assert (semantic.semantic_start, semantic.semantic_stop, semantic.lift_iteration) == (30_000, 40_000, 30_000)
    assert (semantic.semantic_feature_lr, semantic.loss_reduce) == (0.0025, 0.5)
    assert (motion.warm_up, motion.stop_MLP, motion.deform_lr_max_steps, motion.grow_steps) == (3000, 30_000, 40_000, 0)
    assert motion.compat_init and motion.compat_quat and motion.compat_ast and motion.compat_scale


def test_without_features_the_motion_learns_to_the_end():
    assert parsed(compat=True)[MotionParams].stop_MLP > 40_000


def test_shorter_runs_have_shorter_steps_unless_compatible():
    short, compat = parsed(iterations=4000), parsed(iterations=4000, compat=True)
    assert short[OptimizationParams].densify_until_iter == 1500
    assert short[MotionParams].deform_lr_max_steps == 4000
    assert compat[OptimizationParams].densify_until_iter == 15_000 and compat[MotionParams].warm_up == 3000


def test_the_command_line_wins():
    groups = parsed("--warm_up", "77", "--semantic_stop", "99", distils=True)
    assert groups[MotionParams].warm_up == 77 and groups[SemanticParams].semantic_stop == 99


def test_single_flags_bring_other_defaults():
    plain = implied_preset(ModelParams(), OptimizationParams())
    assert plain == {}
    both = implied_preset(ModelParams(train_test_exp=True), OptimizationParams(densification="mcmc", iterations=600))
    assert both[ModelParams] == {"exposure": True}
    assert both[OptimizationParams] == {"densify_until_iter": 500, "max_gaussians": 1_000_000}
    model, *_ = parse("Train.", *GROUPS, args=["--train_test_exp", "--no_exposure"], preset=both)
    assert model.train_test_exp and not model.exposure


def test_of_several_presets_the_later_win_field_by_field():
    first = {OptimizationParams: {"iterations": 5, "absgrad": True}}
    assert combined(first, {OptimizationParams: {"iterations": 6}, TrainParams: {"quiet": True}}) == {
        OptimizationParams: {"iterations": 6, "absgrad": True},
        TrainParams: {"quiet": True},
    }
    assert first[OptimizationParams]["iterations"] == 5
