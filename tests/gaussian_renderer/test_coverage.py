"""Holes where Gaussians are taken out."""

import ndraster
import torch

from gaussian_renderer import RenderSettings, render
from gaussian_renderer.coverage import lost_coverage
from tests.blobs import blob_labels, blob_model, ring_cameras

QUICK = RenderSettings("cpu" if "cpu" in ndraster.available_backends() else "reference")


def test_holes_are_the_pixels_that_only_the_removed_ball_covered():
    model, cameras = blob_model(), ring_cameras(2)
    kept = blob_labels() != 0
    with torch.no_grad():
        before, after = (
            torch.stack([render(camera, some, settings=QUICK).alpha for camera in cameras])
            for some in (model, model.subset(kept))
        )
    expected = int((before - after > 0.5).sum())
    assert lost_coverage(cameras, model, kept, QUICK) == (expected, before.numel()) and expected > 50


def test_nothing_is_lost_without_removal():
    model = blob_model()
    everything = torch.ones(len(model), dtype=torch.bool)
    assert lost_coverage(ring_cameras(1), model, everything, QUICK)[0] == 0
