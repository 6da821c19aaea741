"""train.py on a rig of cameras, from end to end: Gaussians that are followed from moment to moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import train
from arguments import ModelParams, TrackingParams, load_config
from gaussian_renderer.trained import open_trained
from scene.exposure import Exposures
from scene.formats.ply import read_points
from tests.blob_rig import SPEED, write_blob_rig
from tests.blobs import CENTRES, RADIUS
from utils.errors import UserError
from utils.files import read_jsonl

QUICK = "--first_iterations 200 --step_iterations 60 --densify_until_iter 0 --track_position_lr 0.0008"
MOMENTS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_blob_rig(tmp_path_factory.mktemp("data") / "rig", MOMENTS)


def run(data: Path, out: Path, *flags: str) -> Path:
    train.main(["-s", str(data), "-m", str(out), "--eval", "--device", "cpu", *QUICK.split(), *flags])
    return out


def opened(data: Path, out: Path):
    return open_trained(ModelParams(source_path=str(data), model_path=str(out), eval=True, device="cpu"))


@pytest.fixture(scope="module")
def tracked(data, tmp_path_factory) -> Path:
    return run(data, tmp_path_factory.mktemp("run") / "out")


def near_red(means: torch.Tensor) -> torch.Tensor:
    """Which Gaussians [N, 3] are at the red ball."""
    return (means - CENTRES[0]).norm(dim=1) < RADIUS


def red_path(data: Path, out: Path) -> torch.Tensor:
    """Height [T] of the red ball, mean of its Gaussians."""
    model = opened(data, out).model
    red = near_red(model.means)
    with torch.no_grad():
        return torch.stack([model.at(step / (MOMENTS - 1)).means[red, 1].mean() for step in range(MOMENTS)])


def test_the_ball_is_followed_and_nothing_else_moves(data, tracked):
    heights = red_path(data, tracked)
    truth = -SPEED * torch.arange(MOMENTS)
    assert (heights - heights[0] - truth).abs().max() < 0.15 * SPEED
    model = opened(data, tracked).model
    others = model.params["motion_code"][:, 0] < 0.5
    with torch.no_grad():
        moved = (model.at(1.0).means - model.at(0.0).means)[others]
    assert float(moved.norm(dim=1).max()) < 1e-6


def test_every_moment_is_as_good_as_the_first(tracked):
    records = [record for record in read_jsonl(tracked / "metrics.jsonl") if record["split"] == "moment"]
    assert [record["moment"] for record in records] == list(range(MOMENTS))
    assert min(record["psnr"] for record in records[1:]) > records[0]["psnr"] - 2.0
    held_out = [record for record in read_jsonl(tracked / "metrics.jsonl") if record["split"] == "test"][-1]
    assert held_out["views"] == MOMENTS and held_out["psnr"] > 23


def test_the_rows_are_those_of_the_first_moment(data, tracked):
    model = opened(data, tracked).model
    assert model.motion.kind == "per_timestep"
    with torch.no_grad():
        assert torch.allclose(model.at(0.0).means, model.means, atol=1e-4)
    assert load_config(tracked, TrackingParams).step_iterations == 60


@pytest.mark.parametrize("flags", [["--mask_free"], ["--preset", "d3dg_compat"], ["--color_mode", "gain"]])
def test_other_recipes_follow_it_too(data, tmp_path, flags):
    heights = red_path(data, run(data, tmp_path, *flags))
    assert (heights[-1] - heights[0] + SPEED * (MOMENTS - 1)).abs() < 0.3 * SPEED * (MOMENTS - 1)


def test_an_interrupted_run_goes_on_to_the_same_result(data, tmp_path, tracked):
    run(data, tmp_path, "--checkpoint_iterations", "290")
    whole = red_path(data, tmp_path)
    for number in (2, 3):  # or the moments that are finished would be more than the checkpoint knows
        (tmp_path / f"deform/iteration_380/tracks/moment_{number:05d}.npz").unlink()
    train.main(["-m", str(tmp_path), "--resume", "--device", "cpu"])
    assert torch.equal(red_path(data, tmp_path), whole)


def test_a_moment_that_goes_wrong_stops_the_run_and_keeps_the_others(data, tmp_path):
    with pytest.raises(UserError, match="moment 2: what may move has moved by .* --max_displacement 0"):
        run(data, tmp_path, "--track_position_lr", "0.05", "--lambda_rigid", "0", "--no_births")
    assert opened(data, tmp_path).model.motion.trajectories.means.shape[0] >= 1


def test_a_settled_moment_is_cut_short(data, tmp_path):
    run(data, tmp_path, "--step_iterations", "400", "--settle_tolerance", "0.5")
    seconds = [record["iteration"] for record in read_jsonl(tmp_path / "metrics.jsonl") if record["split"] == "moment"]
    assert seconds == [200, 600, 1000, 1400]
    trained = [record["iteration"] for record in read_jsonl(tmp_path / "metrics.jsonl") if record["split"] == "train"]
    assert not any(500 < iteration < 600 for iteration in trained)
    assert np.isfinite(red_path(data, tmp_path).numpy()).all()


@pytest.mark.slow
def test_exposures_and_relocation_belong_to_the_first_moment(data, tmp_path):
    """Later moments keep who is who and where the first one has put them; each picture has an exposure."""
    flags = (
        "--densification mcmc --cap_max 2000 --densify_from_iter 5 --densify_until_iter 50 --densification_interval 10"
    )
    out = run(data, tmp_path, *flags.split(), "--exposure", "--first_iterations", "60", "--step_iterations", "8")
    model = opened(data, out).model
    start = len(read_points(out / "input.ply"))
    assert start < len(model) <= 2000 and bool(model.means.isfinite().all())
    with torch.no_grad():
        resting = model.params["motion_code"][:, 0] < 0.5
        moved = (model.at(1.0).means - model.at(0.0).means)[resting]
    assert float(moved.norm(dim=1).max()) < 1e-6
    assert len(Exposures.load(out).by_name) == len(opened(data, out).scene.train)
