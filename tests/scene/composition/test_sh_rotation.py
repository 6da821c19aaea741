"""Colours of turned Gaussians."""

from dataclasses import replace

import ndraster
import pytest
import torch
from ndraster.spherical_harmonics import sh_basis
from torch.nn import functional as F

from gaussian_renderer import RenderSettings, render
from scene.composition.sh_rotation import rotated_sh
from scene.gaussian_model import GaussianModel
from tests.blobs import blob_model, ring_cameras
from utils.transforms import quaternion_multiply, quaternion_to_matrix

QUICK = RenderSettings("cpu" if "cpu" in ndraster.available_backends() else "reference")
TURN = F.normalize(torch.tensor([0.7, 0.3, -0.5, 0.4], dtype=torch.float64), dim=0)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_was_seen_from_one_side_is_seen_from_the_turned_side(degree):
    generator = torch.Generator().manual_seed(0)
    sh = torch.randn(5, (degree + 1) ** 2, 3, generator=generator, dtype=torch.float64)
    directions = F.normalize(torch.randn(5, 3, generator=generator, dtype=torch.float64), dim=1)
    rotation = quaternion_to_matrix(TURN)
    turned = (sh_basis(directions @ rotation.T, degree)[:, :, None] * rotated_sh(sh, rotation)).sum(1)
    torch.testing.assert_close(turned, (sh_basis(directions, degree)[:, :, None] * sh).sum(1))


def test_turning_scene_and_camera_changes_no_pixel():
    model = colourful_blobs()
    rotation = quaternion_to_matrix(TURN).float()
    params = {name: value.detach().clone() for name, value in model.params.items()}
    sh = rotated_sh(model.sh.detach(), rotation)
    params |= {"xyz": params["xyz"] @ rotation.T, "f_dc": sh[:, :1], "f_rest": sh[:, 1:]}
    params["rotation"] = quaternion_multiply(TURN.float(), F.normalize(params["rotation"], dim=1))
    camera = ring_cameras(3)[1]
    to_old = torch.eye(4)
    to_old[:3, :3] = rotation.T
    turned_camera = replace(camera, world_to_camera=camera.world_to_camera @ to_old)
    before = render(camera, model, settings=QUICK).color
    after = render(turned_camera, GaussianModel(params), settings=QUICK).color
    torch.testing.assert_close(after, before, atol=2e-4, rtol=0)
    params |= {"f_rest": model.params["f_rest"].detach()}  # the picture does depend on the turned coefficients
    assert (render(turned_camera, GaussianModel(params), settings=QUICK).color - before).abs().max() > 0.05


def colourful_blobs():
    params = {name: value.detach().clone() for name, value in blob_model().params.items()}
    generator = torch.Generator().manual_seed(2)
    params["f_rest"] = 0.3 * torch.randn(len(params["xyz"]), 15, 3, generator=generator)
    params["rotation"] = torch.randn(len(params["xyz"]), 4, generator=generator)
    params["scaling"] += 0.5 * torch.randn(len(params["xyz"]), 3, generator=generator)
    return GaussianModel(params)
