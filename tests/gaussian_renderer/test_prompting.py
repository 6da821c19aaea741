"""Which Gaussians count as neighbours in a moving scene."""

import pytest
import torch

from gaussian_renderer.mask_lifting import ViewPrompt
from gaussian_renderer.prompting import clicked_prompt, places, pointed_prompt, seen_cloud
from scene.gaussian_model import GaussianModel
from tests.blobs import REFERENCE, blob_labels, blob_model, ring_cameras
from tests.moving_blobs import Lift, timed_ring
from utils.errors import UserError


def overlapping():
    """The balls stored one in the other, on a disc; `Lift` moves the red one, whose Gaussians are left of -1/2."""
    model = blob_model()
    params = {name: value.detach().clone() for name, value in model.params.items()}
    params["xyz"] *= 0.1
    params["xyz"][:, 0] = torch.where(blob_labels() == 0, -0.5001, -0.4999)
    return GaussianModel(params, motion=Lift())


def share_of_own(cloud):
    red = (blob_labels() == 0).numpy()
    return (red[cloud.neighbours] == red[:, None]).mean()


def test_neighbours_stay_together_all_the_time():
    model, cameras = overlapping(), timed_ring(5)
    still = GaussianModel(model.params)
    assert share_of_own(seen_cloud(cameras, still, REFERENCE)) < 0.9
    assert share_of_own(seen_cloud(cameras, model, REFERENCE)) == 1.0


def test_places_are_positions_or_paths():
    model = blob_model()
    assert places(model, [0.0, 0.5]).shape == (120, 3)
    paths = places(overlapping(), [index / 100 for index in range(101)])
    assert paths.shape == (120, 15)
    torch.testing.assert_close(paths[:, 12:], overlapping().at(1.0).means)


def test_clicks_in_several_views_are_one_prompt():
    model, (first, second, *_) = blob_model(), ring_cameras()
    middle = (first.width // 2, first.height // 2 + 2)
    clicks = [(first, ViewPrompt((middle,))), (second, ViewPrompt((), (middle,)))]
    both = clicked_prompt(clicks, model, model.features, REFERENCE)
    alone = pointed_prompt(first, model, model.features, clicks[0][1], (), REFERENCE)
    assert torch.equal(both.positive, alone.positive) and torch.equal(both.seeds, alone.seeds)
    assert len(both.negative) == 1
    with pytest.raises(UserError, match="no positive point"):
        clicked_prompt(clicks[1:], model, model.features, REFERENCE)
