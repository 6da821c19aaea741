"""A frozen moment is a static scene that looks as the moving one does then."""

from dataclasses import replace

import pytest
import torch

from gaussian_renderer import render
from scene.formats.ply import read_ply, write_ply
from scene.gaussian_model import GaussianModel
from scene.motion.freeze import frozen_at
from tests.blobs import REFERENCE
from tests.moving_blobs import Lift, moving_blobs, timed_ring


@pytest.mark.parametrize("time", [0.0, 0.3, 1.0])
def test_it_is_rendered_as_the_moving_scene_at_that_time(time, tmp_path):
    model, cameras = moving_blobs(), timed_ring(11)
    frozen = frozen_at(model, time)
    write_ply(tmp_path / "a.ply", frozen.to_arrays())
    loaded = GaussianModel.from_arrays(read_ply(tmp_path / "a.ply"))
    (camera,) = [camera for camera in cameras if camera.time == pytest.approx(time)]
    with torch.no_grad():
        moving = render(camera, model, settings=REFERENCE)
        for still in (frozen, loaded):
            found = render(camera, still, settings=REFERENCE)
            torch.testing.assert_close(found.color, moving.color, atol=2e-5, rtol=0)
            torch.testing.assert_close(found.features, moving.features, atol=2e-5, rtol=0)


def test_the_moments_differ_and_time_no_longer_matters():
    model, camera = moving_blobs(), timed_ring(2)[0]
    early, late = frozen_at(model, 0.0), frozen_at(model, 1.0)
    assert (early.means - late.means).abs().max() > 0.9
    assert torch.equal(late.at(0.0).means, late.at(1.0).means)
    assert torch.equal(early.params["opacity"], model.params["opacity"]) and early.feature_dim == model.feature_dim
    with torch.no_grad():
        difference = render(camera, early, settings=REFERENCE).color - render(camera, late, settings=REFERENCE).color
    assert difference.abs().max() > 0.3


class Shrunk(Lift):
    """Sizes become negative."""

    def at(self, model, time):
        moment = super().at(model, time)
        return replace(moment, scales=moment.scales - 0.2 * time)


class Longer(Lift):
    """Quaternions of any length, as in Deformable 3DGS."""

    def at(self, model, time):
        moment = super().at(model, time)
        return replace(moment, quats_wxyz=moment.quats_wxyz + time * torch.tensor([0.3, 0.1, -0.2, 0.2]))


@pytest.mark.parametrize("motion", [Shrunk(), Longer()])
def test_sizes_and_quaternions_of_any_kind_look_the_same(motion):
    model, camera = moving_blobs(), timed_ring(2)[1]
    model.motion = motion
    frozen = frozen_at(model, 1.0)
    torch.testing.assert_close(frozen.at(0.0).quats_wxyz.norm(dim=1), torch.ones(120))
    with torch.no_grad():
        found, moving = (render(camera, each, settings=REFERENCE).color for each in (frozen, model))
    torch.testing.assert_close(found, moving, atol=1e-4, rtol=0)
    assert (model.at(1.0).scales < 0).any() or (model.at(1.0).quats_wxyz.norm(dim=1) > 1.2).any()
