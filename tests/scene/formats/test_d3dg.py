"""scene/formats/d3dg.py: params.npz of Dynamic 3D Gaussians."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scene.formats.d3dg import read_params_npz, tracked_params_of, write_params_npz
from scene.gaussian_model import GaussianModel
from scene.motion.static import StaticMotion
from scene.motion.track_store import TrackStore
from scene.motion.trajectories import Trajectories
from tests.clips import COUNT, TIMES, assert_same, published
from tests.moving_blobs import moving_blobs
from utils.errors import UserError
from utils.spherical_harmonics import sh_to_rgb


def own_file(folder: Path, **changes: np.ndarray | None) -> Path:
    """A published file with other arrays, or without some."""
    arrays = {name: value for name, value in {**published(), **changes}.items() if value is not None}
    np.savez(folder / "params.npz", **arrays)
    return folder / "params.npz"


def assert_refused(path: Path, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as error:
        read_params_npz(path)
    assert "\n" not in str(error.value) and "params.npz" in str(error.value)


@pytest.mark.parametrize("num_times", [1, TIMES])
def test_round_trip_keeps_every_bit(tmp_path, num_times):
    np.savez(tmp_path / "params.npz", **published(num_times))
    write_params_npz(tmp_path / "again.npz", read_params_npz(tmp_path / "params.npz"))
    assert_same(tmp_path / "again.npz", published(num_times))


def test_round_trip_through_a_store_keeps_every_bit(tmp_path):
    params = read_params_npz(own_file(tmp_path))
    poses = params.trajectories
    store = TrackStore.create(tmp_path / "tracks", poses.times.tolist(), "float32")
    for index in range(TIMES):
        moving = torch.ones(COUNT, dtype=torch.bool)
        store.append(poses.means[index], poses.quats_wxyz[index], poses.colors[index], moving)
    again = TrackStore.open(tmp_path / "tracks").read()
    write_params_npz(tmp_path / "again.npz", replace(params, trajectories=again))
    assert_same(tmp_path / "again.npz", published())


def test_a_model_of_the_first_moment(tmp_path):
    params, raw = read_params_npz(own_file(tmp_path)), published()
    model = GaussianModel.from_arrays(params.arrays)
    now = model.activated()
    np.testing.assert_array_equal(now.means.detach(), raw["means3D"][0])
    np.testing.assert_allclose(now.scales.detach(), np.exp(raw["log_scales"]), rtol=1e-6)
    np.testing.assert_allclose(now.opacities.detach(), 1 / (1 + np.exp(-raw["logit_opacities"][:, 0])), rtol=1e-5)
    np.testing.assert_allclose(sh_to_rgb(now.sh[:, 0].detach()), raw["rgb_colors"][0], atol=1e-6)
    np.testing.assert_array_equal(model.params["motion_code"].detach()[:, 0], raw["seg_colors"][:, 0])
    assert not model.params["motion_code"][:, 1].any()
    np.testing.assert_allclose(params.trajectories.times, [0, 1 / 3, 2 / 3, 1])


def test_colours_given_once_hold_at_all_moments(tmp_path):
    colors = published()["rgb_colors"][1]
    params = read_params_npz(own_file(tmp_path, rgb_colors=colors))
    assert params.trajectories.colors.shape == (TIMES, COUNT, 3)
    np.testing.assert_array_equal(params.trajectories.colors[2], colors)


def test_labels_and_cameras_may_be_missing(tmp_path):
    params = read_params_npz(own_file(tmp_path, seg_colors=None, cam_m=None, cam_c=None))
    assert (params.arrays.motion_code[:, 0] == 1).all()
    assert params.cam_m.shape == params.cam_c.shape == (50, 3)


def test_gaussians_that_are_not_finite_are_dropped(tmp_path, capsys):
    means, scales = published()["means3D"], published()["log_scales"]
    means[2, 4, 1], scales[7, 0] = np.nan, np.inf
    params = read_params_npz(own_file(tmp_path, means3D=means, log_scales=scales))
    rest = [index for index in range(COUNT) if index not in (4, 7)]
    np.testing.assert_array_equal(params.trajectories.means, published()["means3D"][:, rest])
    np.testing.assert_array_equal(params.arrays.opacity, published()["logit_opacities"][rest])
    assert "dropped 2 of 9" in "".join(capsys.readouterr())


def test_an_empty_clip_says_why(tmp_path):
    np.savez(tmp_path / "params.npz", **published(count=0))
    assert_refused(tmp_path / "params.npz", "every Gaussian was pruned")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"means3D": None}, "no means3D"),
        ({"rgb_colors": None}, "no rgb_colors"),
        ({"means3D": np.zeros((COUNT, 3), np.float32)}, "means3D"),
        ({"means3D": np.zeros((0, COUNT, 3), np.float32)}, "means3D"),
        ({"unnorm_rotations": np.zeros((TIMES + 1, COUNT, 4), np.float32)}, "unnorm_rotations"),
        ({"log_scales": np.zeros((COUNT, 1), np.float32)}, "log_scales"),
        ({"logit_opacities": np.zeros((COUNT, 1), np.int64)}, "logit_opacities"),
        ({"rgb_colors": np.zeros((COUNT + 1, 3), np.float32)}, "rgb_colors"),
        ({"cam_c": np.zeros((7, 3), np.float32)}, "cam_c"),
        ({"cam_m": np.array(1.0, np.float32)}, "cam_m"),
        ({"means3D": np.array([{}], dtype=object)}, "Python objects"),
        ({"extra": np.zeros(50_000_000, np.uint8)}, None),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, changes, reason):
    path = own_file(tmp_path, **changes)
    if reason is None:  # a file that unpacks to far more than it is
        arrays = {**published(), **changes}
        np.savez_compressed(path, **arrays)
        reason = "would unpack"
    assert_refused(path, reason)


def test_a_cut_off_file_is_refused(tmp_path):
    path = own_file(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    assert_refused(path, "not a whole")
    assert_refused(tmp_path / "none" / "params.npz", "no such file")


def test_any_motion_can_be_written(tmp_path):
    model, times = moving_blobs(), [0.0, 0.5, 1.0]
    params = tracked_params_of(model, times)
    write_params_npz(tmp_path / "params.npz", params)
    found = read_params_npz(tmp_path / "params.npz").trajectories
    for index, time in enumerate(times):
        torch.testing.assert_close(found.means[index], model.at(time).means.detach())
        torch.testing.assert_close(found.quats_wxyz[index], model.at(time).quats_wxyz.detach())
        torch.testing.assert_close(found.colors[index], sh_to_rgb(model.sh[:, 0].detach()))
    torch.testing.assert_close(torch.from_numpy(params.arrays.scaling), model.at(0.0).scales.log().detach())
    rises = (model.means[:, 0] < -0.5).numpy()
    np.testing.assert_array_equal(params.arrays.motion_code[:, 0] > 0.5, rises)


class Tracked(StaticMotion):
    """A motion with moments of its own."""

    def __init__(self, trajectories: Trajectories) -> None:
        self.trajectories = trajectories


@pytest.mark.parametrize("colored", [True, False])
def test_a_tracked_model_is_written_as_it_is(tmp_path, colored):
    params = read_params_npz(own_file(tmp_path))
    poses = params.trajectories if colored else replace(params.trajectories, colors=None)
    model = GaussianModel.from_arrays(params.arrays).with_motion(Tracked(poses))
    model.params["motion_code"] = torch.nn.Parameter(torch.from_numpy(params.arrays.motion_code))
    write_params_npz(tmp_path / "again.npz", replace(tracked_params_of(model), cam_m=params.cam_m, cam_c=params.cam_c))
    if colored:
        assert_same(tmp_path / "again.npz", published())
    else:
        colors = np.load(tmp_path / "again.npz")["rgb_colors"]
        np.testing.assert_allclose(colors, np.repeat(published()["rgb_colors"][:1], TIMES, axis=0), atol=1e-6)


def test_what_the_format_does_not_know_is_said(tmp_path, capsys):
    params = read_params_npz(own_file(tmp_path))
    arrays = replace(params.arrays, f_rest=np.ones((COUNT, 3, 3), np.float32))
    arrays.motion_code[2, 1] = 3
    model = GaussianModel.from_arrays(arrays)
    model.motion = Tracked(params.trajectories)
    tracked_params_of(model)
    said = "".join(capsys.readouterr())
    assert "SH degree 1" in said and "1 later Gaussians" in said


def test_a_model_without_moments_needs_times():
    with pytest.raises(UserError, match="times"):
        tracked_params_of(moving_blobs())
