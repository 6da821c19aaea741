"""Paint that propagates."""

import ndraster
import torch

from gaussian_renderer import RenderSettings, render
from gaussian_renderer.painting import PaintedView, on_surface, painted_colors
from scene.editing import recolored
from tests.blobs import blob_labels, blob_model, ring_cameras
from utils.spherical_harmonics import rgb_to_sh

QUICK = RenderSettings("cpu" if "cpu" in ndraster.available_backends() else "reference")
LABELS = blob_labels()


def rendered(model, camera):
    with torch.no_grad():
        return render(camera, model, settings=QUICK)


def painted(model, colors):
    return recolored(model, torch.ones(len(model), dtype=torch.bool), lambda sh: sh + rgb_to_sh(0.5 + colors)[:, None])


def truth():
    """The red ball in yellow."""
    change = torch.zeros(120, 3)
    change[LABELS == 0, 1] = 0.6
    return change


def test_a_repainted_ball_looks_so_from_other_sides_too():
    model, (front, aside) = blob_model(), ring_cameras(24)[:2]
    target = painted(model, truth())
    colors = painted_colors(model, PaintedView(front, rendered(target, front).color.clamp(0, 1)), settings=QUICK)
    for camera, share in ((front, 0.06), (aside, 0.1)):
        wrong = (rendered(painted(model, colors), camera).color - rendered(target, camera).color).abs().mean()
        assert wrong < share * (rendered(model, camera).color - rendered(target, camera).color).abs().mean()
    assert colors[LABELS != 0].abs().max() < 0.1


def test_an_unchanged_picture_changes_nothing():
    model, camera = blob_model(), ring_cameras(1)[0]
    image = (rendered(model, camera).color.clamp(0, 1) * 255).round() / 255
    assert painted_colors(model, PaintedView(camera, image), settings=QUICK).abs().max() == 0


def test_outside_of_the_mask_nothing_counts():
    model, camera = blob_model(), ring_cameras(1)[0]
    image = torch.ones(3, camera.height, camera.width)
    mask = torch.zeros(1, camera.height, camera.width)
    assert painted_colors(model, PaintedView(camera, image, mask), settings=QUICK).abs().max() == 0
    assert painted_colors(model, PaintedView(camera, image), settings=QUICK).abs().max() > 0.1


def test_what_is_behind_keeps_its_colour():
    model, camera = blob_model(), ring_cameras(1)[0]
    output = rendered(model, camera)
    shown = on_surface(camera, model.activated(), output.median_depth)
    depth = model.means.detach() @ camera.world_to_camera[2, :3] + camera.world_to_camera[2, 3]
    red = LABELS == 0
    assert depth[red & shown].mean() < depth[red & ~shown].mean() and shown[red].any() and not shown[red].all()
    colors = painted_colors(model, PaintedView(camera, torch.ones_like(output.color)), settings=QUICK)
    assert colors[~shown].abs().max() == 0
