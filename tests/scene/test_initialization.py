"""Where the Gaussians start."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scene.datasets import read_scene
from scene.formats.ply import write_ply
from scene.initialization import InitOptions, camera_box, from_ply, from_points, from_random, initial_model
from scene.scene_info import PointCloud
from tests.scene.small_scenes import blender_scene, colmap_scene, transforms_scene
from utils.errors import UserError
from utils.spherical_harmonics import sh_to_rgb

CHOSEN = {"opacity": 0.5, "size": 0.1}


def lattice(step=0.5, size=4):
    """Points on a cubic lattice with random colours."""
    axis = np.arange(size, dtype=np.float32) * step
    positions = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    return PointCloud(positions, np.random.default_rng(0).random((len(positions), 3)).astype(np.float32))


def test_points_become_round_faint_gaussians_as_wide_as_their_distance():
    cloud = lattice()
    model = from_points(cloud, sh_degree=3, feature_dim=5, device="cpu")
    gaussians = model.activated()
    torch.testing.assert_close(gaussians.scales, torch.full((64, 3), 0.5))  # every point has three neighbours at 0.5
    torch.testing.assert_close(gaussians.opacities, torch.full((64,), 0.1))
    torch.testing.assert_close(gaussians.quats_wxyz, torch.tensor([1.0, 0, 0, 0]).repeat(64, 1))
    torch.testing.assert_close(sh_to_rgb(gaussians.sh[:, 0]), torch.from_numpy(cloud.colors))
    assert gaussians.sh_rest.shape == (64, 15, 3) and not gaussians.sh_rest.any()
    assert gaussians.features.shape == (64, 5) and gaussians.features.abs().max() == 0
    assert model.active_sh_degree == 0
    assert from_points(cloud, 0, 0, "cpu").features is None


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_points_or_equal_points_stay_finite(count):
    positions = np.zeros((count, 3), np.float32)
    model = from_points(PointCloud(positions, positions), 3, 0, "cpu")
    assert torch.isfinite(model.log_scales).all()


def test_no_points():
    empty = np.zeros((0, 3), np.float32)
    with pytest.raises(UserError, match="empty"):
        from_points(PointCloud(empty, empty), 3, 0, "cpu")


def test_random_points_fill_the_box_and_follow_the_seed():
    box = ((-1.0, 0.0, 2.0), (1.0, 0.5, 3.0))
    model = from_random(InitOptions(count=2000, seed=4), box, "cpu")
    low, high = model.means.min(dim=0).values, model.means.max(dim=0).values
    torch.testing.assert_close(low, torch.tensor(box[0]), atol=0.01, rtol=0)
    torch.testing.assert_close(high, torch.tensor(box[1]), atol=0.01, rtol=0)
    colors = sh_to_rgb(model.sh[:, 0])
    assert colors.min() >= 0.5 and colors.max() < 0.502
    again = from_random(InitOptions(count=2000, seed=4), box, "cpu")
    torch.testing.assert_close(again.means, model.means, rtol=0, atol=0)
    other = from_random(InitOptions(count=2000, seed=5), box, "cpu")
    assert not torch.equal(other.means, model.means)


def test_random_points_around_photos_are_ordinary_numbers(tmp_path):
    """Compiled backends take float32 only."""
    info = read_scene(colmap_scene(tmp_path))
    model = initial_model(info, InitOptions("random", count=20), "cpu")
    assert {value.dtype for value in model.params.values()} == {torch.float32}


def test_opacity_and_size_of_the_start_may_be_chosen(tmp_path):
    info = read_scene(colmap_scene(tmp_path))
    for mode in ("points", "random"):
        usual, chosen = (initial_model(info, InitOptions(mode, 20, **look), "cpu") for look in ({}, CHOSEN))
        torch.testing.assert_close(chosen.activated().opacities, torch.full((len(chosen),), 0.5))
        torch.testing.assert_close(chosen.activated().scales, 0.1 * usual.activated().scales)


def test_auto_takes_points_when_there_are_some(tmp_path):
    with_points = read_scene(colmap_scene(tmp_path / "colmap"))
    without = read_scene(blender_scene(tmp_path / "blender"))
    assert initial_model(with_points, InitOptions(count=50), "cpu").num_gaussians == 6
    assert initial_model(with_points, InitOptions("random", count=50), "cpu").num_gaussians == 50
    model = initial_model(without, InitOptions(count=50), "cpu")
    assert model.num_gaussians == 50 and model.means.abs().max() <= 1.3
    with pytest.raises(UserError, match="--init random"):
        initial_model(without, InitOptions("points"), "cpu")
    with pytest.raises(UserError, match="--init_count 0"):
        initial_model(without, InitOptions(count=0), "cpu")
    with pytest.raises(UserError, match="--init sphere"):
        initial_model(without, InitOptions("sphere"), "cpu")


def test_box_of_photos_surrounds_what_they_look_at(tmp_path):
    info = read_scene(transforms_scene(tmp_path))  # cameras at distance 4 look at the origin
    low, high = camera_box(info.train)
    np.testing.assert_allclose(low, -4, atol=0.05)
    np.testing.assert_allclose(high, 4, atol=0.05)
    one_low, one_high = camera_box(info.train[:1])
    assert np.isfinite([one_low, one_high]).all() and np.all(np.array(one_high) > one_low)


def test_from_file_pads_degrees_and_replaces_features(tmp_path, capsys):
    model = from_points(lattice(), sh_degree=1, feature_dim=3, device="cpu")
    write_ply(tmp_path / "a.ply", model.to_arrays())
    same = from_ply(tmp_path / "a.ply")
    assert (same.max_sh_degree, same.feature_dim, len(same)) == (1, 3, 64)
    padded = from_ply(tmp_path / "a.ply", sh_degree=3)
    assert padded.max_sh_degree == 3
    torch.testing.assert_close(padded.sh[:, :4], model.sh)
    assert padded.sh[:, 4:].abs().max() == 0
    assert from_ply(tmp_path / "a.ply", sh_degree=0).max_sh_degree == 1
    assert capsys.readouterr().err == ""
    assert from_ply(tmp_path / "a.ply", feature_dim=8).feature_dim == 8
    assert "features of width 3 are dropped" in capsys.readouterr().err
    assert from_ply(tmp_path / "a.ply", feature_dim=0).features is None
