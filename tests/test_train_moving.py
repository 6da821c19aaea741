"""train.py on a moving scene of 24x18 px, from end to end."""

from __future__ import annotations

from pathlib import Path

import ndraster
import numpy as np
import pytest
import torch

import train
from arguments import ModelParams, MotionParams, load_config
from examples.make_scene import SceneOptions, make
from gaussian_renderer.trained import open_trained
from scene.formats.ply import read_ply
from utils.errors import UserError
from utils.files import read_jsonl

BACKEND = "cpu" if "cpu" in ndraster.available_backends() else "reference"
FLAGS = (
    f"--eval --device cpu --backend {BACKEND} --init_count 150 --sh_degree 1 --densify_from_iter 5 "
    "--densification_interval 5 --opacity_reset_interval 12 --densify_grad_threshold 0.00005 --test_iterations -1"
).split()
SHORT = ["--iterations", "30", "--warm_up", "4", "--grow_steps", "15", "--num_bases", "6"]
KINDS = ("deform_mlp", "motion_bases")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A D-NeRF data set with labels."""
    folder = tmp_path_factory.mktemp("data") / "scene"
    make(SceneOptions("dynamic", folder, size=(24, 18), views=8))
    return folder


def run(data: Path, out: Path, *flags: str) -> Path:
    train.main(["-s", str(data), "-m", str(out), *FLAGS, *flags])
    return out


def weights(out: Path) -> dict[str, torch.Tensor]:
    """The newest saved motion."""
    path = max(out.glob("deform/iteration_*/*.pth"), key=lambda found: int(found.parent.name.split("_")[1]))
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("kind", KINDS)
def test_things_move_and_the_motion_is_loaded(data, tmp_path, kind, capsys):
    run(data, tmp_path, *SHORT, "--motion", kind)
    assert f"motion: {kind}: nothing moves before step 4" in capsys.readouterr().out
    model = open_trained(ModelParams(source_path=str(data), model_path=str(tmp_path), eval=True, device="cpu")).model
    assert model.motion.kind == kind and not model.means.requires_grad
    with torch.no_grad():
        assert (model.at(0.2).means - model.at(0.8).means).abs().max() > 1e-5
    saved = load_config(tmp_path, MotionParams)
    assert saved.motion == kind and saved.is_blender


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_ends_the_same(data, tmp_path, kind):
    whole = run(data, tmp_path / "whole", *SHORT, "--motion", kind)
    part = tmp_path / "part"
    run(data, part, *SHORT, "--motion", kind, "--checkpoint_iterations", "13")
    for path in part.glob("**/iteration_30/*"):
        path.unlink()
    train.main(["-m", str(part), "--resume", "--device", "cpu", "--backend", BACKEND])
    one, other = (read_ply(out / "point_cloud/iteration_30/point_cloud.ply").named() for out in (whole, part))
    assert one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
    first, second = weights(whole), weights(part)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_moving_scenes_have_a_schedule_of_their_own(data, tmp_path):
    run(data, tmp_path, "--iterations", "8", "-f", "oracle")
    motion = load_config(tmp_path, MotionParams)
    assert motion.motion == "motion_bases" and motion.stop_MLP == 6 and motion.deform_lr_max_steps == 8


def test_compat_is_the_original_recipe(data, tmp_path):
    run(data, tmp_path, "--iterations", "6", "--compat", "--warm_up", "2")
    motion = load_config(tmp_path, MotionParams)
    assert motion.compat_init and motion.compat_scale and motion.grow_steps == 0 and motion.stop_MLP > 6
    model = open_trained(ModelParams(source_path=str(data), model_path=str(tmp_path), eval=True, device="cpu")).model
    assert (model.at(0.5).quats_wxyz.norm(dim=1) - 1).abs().max() > 1e-4


def test_features_are_lifted_where_things_are(data, tmp_path, capsys):
    run(data, tmp_path, *SHORT, "-f", "oracle", "--distill", "lift")
    assert "lifted into" in capsys.readouterr().out
    features = read_ply(tmp_path / "point_cloud/iteration_30/point_cloud.ply").semantic_feature
    assert np.abs(features).max() > 0.1


def test_no_feature_loss_after_the_stop(data, tmp_path):
    flags = (*SHORT, "-f", "oracle", "--distill", "sgd", "--semantic_start", "5", "--save_iterations", "10")
    run(data, tmp_path, *flags, "--semantic_stop", "10", "--densify_until_iter", "1")
    at = [read_ply(tmp_path / f"point_cloud/iteration_{n}/point_cloud.ply").semantic_feature for n in (10, 30)]
    assert np.abs(at[0]).max() > 0 and np.array_equal(*at)


def test_finished_gaussians_keep_their_motion(data, tmp_path):
    first = run(data, tmp_path / "first", *SHORT, "--motion", "motion_bases")
    ply = first / "point_cloud/iteration_30/point_cloud.ply"
    flags = ("--start_ply", str(ply), "--freeze_geometry", "-f", "oracle", "--distill", "lift", "--iterations", "1")
    second = run(data, tmp_path / "second", *flags)
    one, other = weights(first), weights(second)
    assert all(torch.equal(one[name], other[name]) for name in one)
    features = read_ply(second / "point_cloud/iteration_1/point_cloud.ply").semantic_feature
    assert np.abs(features).max() > 0.1


def test_a_still_training_of_moving_pictures_is_said(data, tmp_path, capsys):
    run(data, tmp_path, "--iterations", "2", "--motion", "static")
    assert "8 moments are taken for one" in capsys.readouterr().err
    assert not (tmp_path / "deform").exists()


def test_a_checkpoint_of_another_motion_is_refused(data, tmp_path):
    run(data, tmp_path / "one", *SHORT, "--motion", "motion_bases", "--checkpoint_iterations", "9")
    with pytest.raises(UserError, match="another kind of motion"):
        run(
            data,
            tmp_path / "two",
            *SHORT,
            "--motion",
            "deform_mlp",
            "--start_checkpoint",
            str(tmp_path / "one" / "chkpnt9.pth"),
        )


@pytest.mark.slow
def test_a_small_moving_scene_trains_without_a_gpu(tmp_path):
    """At least 25 dB on views held out, in under five minutes on two cores."""
    scene = tmp_path / "scene"
    make(SceneOptions("dynamic", scene, size=(64, 64), views=120, jumping=True))
    flags = ["--motion", "motion_bases", "--iterations", "4000", "--init_count", "8000", "--device", "cpu"]
    train.main(["-s", str(scene), "-m", str(tmp_path / "run"), "--eval", *flags])
    records = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    test = [record for record in records if record["split"] == "test"][-1]
    last = [record for record in records if record["split"] == "train"][-1]
    assert test["psnr"] >= 25 and last["seconds"] < 300
