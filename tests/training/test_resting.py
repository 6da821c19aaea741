"""training/resting.py"""

from __future__ import annotations

from dataclasses import replace

import torch

import train
from arguments import ModelParams
from gaussian_renderer import RenderSettings
from gaussian_renderer.trained import open_trained
from scene.cameras import Camera
from scene.motion import CODE_NAME
from scene.scene import Scene
from tests.blob_rig import PER_BLOB, rig_model, write_blob_rig
from training.resting import MARGIN_PX, changed_pixels, find_resting, standing_cameras


def opened(folder) -> Scene:
    return Scene.open(ModelParams(source_path=str(write_blob_rig(folder)), eval=True), "cpu")


def test_what_moves_is_told_from_what_rests(tmp_path):
    scene, model = opened(tmp_path), rig_model()[0]
    sights = standing_cameras(scene.train)
    assert len(sights) == 6 and all(len(views) == 4 and views[0].time == 0.0 for views in sights)
    resting = find_resting(model, sights, scene.images, RenderSettings())
    assert not resting[:PER_BLOB].any()
    assert resting[PER_BLOB : 3 * PER_BLOB].all()  # the other balls
    assert resting[3 * PER_BLOB :].float().mean() > 0.7  # the bowl, whose Gaussians are as large as the balls


def test_a_camera_that_moves_says_nothing():
    first = Camera(0, "a", torch.eye(4), 50.0, 50.0, 16.0, 16.0, 32, 32)
    later = replace(first, uid=1, time=0.5)
    moved = replace(later, world_to_camera=torch.eye(4) + torch.eye(4)[3] * 0.1)
    assert standing_cameras([later, first]) == [[first, later]]
    assert standing_cameras([first, moved]) == []


def test_noise_is_no_change_and_changes_have_a_margin():
    picture = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0))
    noisy = picture + 0.05 * torch.randn(3, 24, 24, generator=torch.Generator().manual_seed(1))
    assert not changed_pixels([picture, noisy]).any()
    other = picture.clone()
    other[:, 12, 12] += 1.0
    rows, columns = changed_pixels([picture, other, picture]).nonzero().unbind(1)
    reach = 1 + MARGIN_PX  # smoothing, then the margin
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12 - reach, 12 + reach, 12 - reach, 12 + reach)


def test_training_without_masks_lets_the_still_things_rest(tmp_path):
    steps = ["--first_iterations", "60", "--step_iterations", "4", "--test_iterations", "-1", "--no_births", "--quiet"]
    data, folder = write_blob_rig(tmp_path / "data", moments=2), tmp_path / "run"
    train.main(["-s", str(data), "-m", str(folder), "--mask_free", "--max_drop_db", "0", *steps])
    model = open_trained(ModelParams(source_path=str(data), model_path=str(folder))).model
    share = model.params[CODE_NAME][:, 0]
    assert 0 < share.mean() < 0.5
