"""gaussian_renderer/evidence.py"""

import torch

from gaussian_renderer.blend_weights import blend_weights
from gaussian_renderer.evidence import evidence_of
from scene.gaussian_model import GaussianModel
from tests.blobs import REFERENCE, blob_model, ring_cameras


def with_haze(model: GaussianModel, positions: torch.Tensor) -> GaussianModel:
    """The balls and one faint, larger Gaussian at each of the positions [M, 3]."""
    params = {name: value.detach() for name, value in model.with_features(None).params.items()}
    rows = torch.zeros(len(positions), dtype=torch.long)
    joined = {name: torch.cat([value, value[rows]]) for name, value in params.items()}
    joined["xyz"][len(model) :] = positions
    joined["opacity"][len(model) :] = -1.5
    return GaussianModel(joined)


def test_weights_are_those_of_blending():
    model, cameras = blob_model(per_blob=10), ring_cameras(3, 24, 20)
    torch.testing.assert_close(
        evidence_of(cameras, model, REFERENCE).weight_px, blend_weights(cameras, model, REFERENCE), rtol=1e-4, atol=1e-4
    )


def test_haze_lies_in_front_and_surfaces_do_not():
    cameras = ring_cameras(6, 32, 28)
    toward = torch.stack([0.45 * camera.center for camera in cameras])  # between the cameras and the balls
    model = with_haze(blob_model(), toward)
    share = evidence_of(cameras, model, REFERENCE).front_share
    assert float(share[-6:].median()) > 0.3
    assert float(share[:-6].median()) < 0.02 and float((share[:-6] > 0.5).float().mean()) < 0.05
    assert float(share.min()) >= 0 and float(share.max()) <= 1 + 1e-5


def test_where_nothing_is_hit_nothing_is_in_front():
    """Pixels without a surface say nothing about haze."""
    model = with_haze(blob_model(per_blob=1), torch.tensor([[0.0, -0.5, 0.0]]))
    with torch.no_grad():
        model.params["opacity"][:] = -3.0
    assert not evidence_of(ring_cameras(2, 24, 20), model, REFERENCE).front_share.any()


def test_who_is_never_seen_has_no_weight():
    model = with_haze(blob_model(per_blob=5), torch.tensor([[0.0, 500.0, 0.0]]))
    found = evidence_of(ring_cameras(2, 24, 20), model, REFERENCE)
    assert float(found.weight_px[-1]) == 0 and float(found.front_share[-1]) == 0
