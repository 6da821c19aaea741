"""training/options.py"""

import math
from dataclasses import replace

import pytest

from arguments import ModelParams, MotionParams, OptimizationParams, PipelineParams, SemanticParams, TrainParams
from training.options import RunOptions, check_options, check_source

LSEG = SemanticParams(foundation_model="lseg")
STILL = {"motion": MotionParams(motion="static")}
TRACKED = MotionParams(motion="per_timestep")
FROZEN = TrainParams(freeze_geometry=True, start_ply="a.ply")


def make(**groups) -> RunOptions:
    defaults = {
        "model": ModelParams(source_path="data"),
        "pipeline": PipelineParams(),
        "optimization": OptimizationParams(),
        "semantic": SemanticParams(),
        "motion": MotionParams(),
        "train": TrainParams(),
    }
    return RunOptions(**defaults | groups)


def test_a_data_set_is_needed():
    check_source(ModelParams(source_path="data"))
    with pytest.raises(ValueError, match="-s FOLDER"):
        check_source(ModelParams())


def test_defaults_pass_in_silence(capsys):
    check_options(make())
    assert capsys.readouterr() == ("", "")


def test_flags_without_effect_are_said(capsys):
    check_options(
        make(
            pipeline=PipelineParams(convert_SHs_python=True),
            optimization=OptimizationParams(position_lr_delay_mult=1.0),
        )
    )
    err = capsys.readouterr().err
    assert "--convert_SHs_python has no effect" in err and "--position_lr_delay_mult has no effect" in err
    assert len(err.splitlines()) == 2


def test_flags_of_features_have_no_effect_on_labels(capsys):
    check_options(make(semantic=SemanticParams(foundation_model="label", speedup=True, semantic_dimension=9)))
    assert capsys.readouterr().err.count("has no effect") == 2
    check_options(make(semantic=SemanticParams(foundation_model="lseg", speedup=True, semantic_dimension=9)))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("groups", "part"),
    [
        ({"model": ModelParams(source_path="a", device="gpu")}, "--device is 'gpu'"),
        ({"model": ModelParams(source_path="a", device="cuda:99")}, "--device is 'cuda:99' but"),
        ({"model": ModelParams(source_path="a", data_device="disk")}, "--data_device is 'disk'"),
        ({"train": TrainParams(start_checkpoint="a", start_ply="b")}, "--start_ply"),
        ({"train": TrainParams(checkpoint_every=-1)}, "--checkpoint_every is -1"),
        ({"optimization": OptimizationParams(iterations=0)}, "--iterations is 0"),
        ({"semantic": SemanticParams(speedup_ratio=0)}, "--speedup_ratio is 0"),
        ({"optimization": OptimizationParams(clean=True), "motion": TRACKED}, "--clean removes Gaussians"),
        ({"optimization": OptimizationParams(clean=True), "train": FROZEN, "semantic": LSEG}, "--clean removes"),
        ({"model": ModelParams(source_path="a", resolution=0)}, "-r 0 .* -f TEACHER"),
        ({"train": FROZEN}, "without a teacher"),
        ({"train": TrainParams(freeze_geometry=True), "semantic": LSEG}, "--start_ply FILE"),
        (
            {"train": FROZEN, "semantic": SemanticParams(foundation_model="lseg", semantic_geometry_grad=True)},
            "--semantic_geometry_grad exclude",
        ),
        (
            {"train": FROZEN, "semantic": LSEG, "optimization": OptimizationParams(optimizer_type="sparse_adam")},
            "--optimizer_type default",
        ),
        ({"motion": MotionParams(motion="deform_mlp"), "train": TrainParams(load_layer="a")}, "layers stand still"),
        ({"motion": MotionParams(motion="deform_mlp"), "train": TrainParams(save_layer=True)}, "--save_layer in a mov"),
        ({"train": replace(FROZEN, load_layer="a"), "semantic": LSEG, **STILL}, "--start_ply alone"),
        ({"optimization": OptimizationParams(inactive_purge_decay=1.5)}, "--inactive_purge_decay is 1.5"),
        ({"optimization": OptimizationParams(inactive_purge_threshold=math.nan)}, "--inactive_purge_threshold is nan"),
    ],
)
def test_what_is_refused(groups, part):
    with pytest.raises(ValueError, match=part):
        check_options(make(**groups))


def test_alpha_training_without_alpha_is_said(capsys):
    check_options(make(model=ModelParams(source_path="a", alpha_train=True, flatten_alpha=True)))
    assert "--alpha_train has no effect with --flatten_alpha" in capsys.readouterr().err
