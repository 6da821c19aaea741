"""The reference itself: finite differences in float64, identities of blending, and invariances."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from ndraster import Gaussians, PinholeCamera, Settings, rasterize, reference
from ndraster import constants as c

from tests.ndraster.clouds import camera, cloud, moved, near_steps, with_colors

FIELDS = ("means", "quats_wxyz", "scales", "opacities", "sh", "features")


def smooth_scene() -> tuple[Gaussians, PinholeCamera]:
    """Three Gaussians that cover a 5x4 image with alphas far from every cut-off."""
    generator = torch.Generator().manual_seed(0)
    sh = torch.randn(3, 16, 3, generator=generator) * 0.05
    sh[:, 0] += 1.0  # no channel is clamped at 0
    gaussians = Gaussians(
        means=torch.tensor([[0.1, 0.0, 2.0], [-0.1, 0.1, 3.0], [0.05, -0.1, 4.0]]),
        quats_wxyz=torch.randn(3, 4, generator=generator) * 0.3 + torch.tensor([1.0, 0.0, 0.0, 0.0]),
        scales=torch.tensor([[0.9, 0.7, 0.5], [1.0, 1.2, 0.8], [1.5, 1.0, 1.2]]),
        opacities=torch.tensor([0.5, 0.7, 0.6]),
        sh=sh,
        features=torch.randn(3, 2, generator=generator),
    )
    view = replace(camera(5, 4), fx=4.0, fy=5.0, cx=2.75, cy=1.75)
    return moved(gaussians, torch.float64), view


@pytest.mark.parametrize("antialiasing", [False, True])
def test_gradients_are_the_finite_differences(antialiasing):
    gaussians, view = smooth_scene()
    settings = Settings(antialiasing=antialiasing, semantic_geometry_grad=True)
    background = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    assert not near_steps(gaussians, view, settings).any()

    def images(background, *values):
        output = rasterize(Gaussians(**dict(zip(FIELDS, values, strict=True))), view, background, settings, "reference")
        return output.color, output.features, output.depth, output.inverse_depth, output.alpha, output.median_depth

    torch.autograd.gradcheck(images, (background, *(getattr(gaussians, name) for name in FIELDS)))


def test_probe_holds_the_screen_gradient():
    """Moving all means by dx in camera space moves the screen means by fx dx / z: the chain rule must agree."""
    gaussians, view = smooth_scene()
    flat = replace(gaussians, scales=gaussians.scales * torch.tensor([1.0, 1.0, 1e-4]))  # no Jacobian path to speak of
    flat = replace(
        flat, quats_wxyz=torch.tensor([[1.0, 0, 0, 0]] * 3).double(), sh=None, colors=torch.rand(3, 3).double()
    )
    view = replace(view, world_to_camera=torch.eye(4).double())
    output = rasterize(flat, view, backend="reference")
    output.color.square().sum().backward()
    along_x = gaussians.means.grad[:, 0]
    assert torch.allclose(output.screen_probe.grad[:, 0] * view.fx / gaussians.means[:, 2], along_x, rtol=1e-5)


def test_features_blend_like_colors():
    gaussians = with_colors(cloud())
    output = rasterize(replace(gaussians, features=gaussians.colors), camera(), backend="reference")
    assert torch.allclose(output.features, output.color, atol=1e-14)


def test_alpha_is_the_sum_of_weights():
    gaussians = replace(cloud(), sh=None, colors=torch.ones(60, 3, dtype=torch.float64))
    output = rasterize(gaussians, camera(), backend="reference")
    assert torch.allclose(output.alpha[0], output.color[0], atol=1e-12)
    assert output.alpha.min() >= 0 and output.alpha.max() <= 1 - c.TRANSMITTANCE_MIN + 1e-12


def test_background_shows_through_what_is_left():
    background = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)
    black = rasterize(cloud(), camera(), backend="reference")
    shown = rasterize(cloud(), camera(), background, backend="reference")
    assert torch.allclose(shown.color, black.color + background[:, None, None] * (1 - black.alpha))


def test_splitting_the_image_does_not_change_it():
    gaussians, view = cloud(), replace(camera(), world_to_camera=torch.eye(4).double(), cx=24.0)
    with torch.no_grad():
        gaussians.means[:, 0] *= 0.04  # within the margin of both halves: the Jacobian depends on the image's edges
    whole = rasterize(gaussians, view, backend="reference").color
    left = rasterize(gaussians, replace(view, width=23), backend="reference").color
    right = rasterize(gaussians, replace(view, width=25, cx=view.cx - 23), backend="reference").color
    assert torch.allclose(torch.cat([left, right], 2), whole, atol=1e-13)


def test_moving_world_and_camera_together_changes_nothing():
    gaussians, view = smooth_scene()
    gaussians = replace(gaussians, quats_wxyz=torch.nn.functional.normalize(gaussians.quats_wxyz, dim=-1))
    angle = torch.tensor(0.7, dtype=torch.float64)
    turn = torch.eye(4, dtype=torch.float64)  # about y
    turn[0, 0] = turn[2, 2] = angle.cos()
    turn[0, 2], turn[2, 0] = angle.sin(), -angle.sin()
    turn[:3, 3] = torch.tensor([1.0, 2.0, 3.0])
    half = torch.stack([(angle / 2).cos(), 0 * angle, (angle / 2).sin(), 0 * angle])
    other = replace(
        gaussians,
        means=gaussians.means @ turn[:3, :3].T + turn[:3, 3],
        quats_wxyz=quaternion_product(half, gaussians.quats_wxyz),
    )
    there = replace(view, world_to_camera=view.world_to_camera @ torch.linalg.inv(turn))
    settings = Settings(sh_degree=0)
    before, after = (rasterize(g, v, None, settings, "reference") for g, v in ((gaussians, view), (other, there)))
    for name in ("color", "depth", "inverse_depth", "alpha", "features"):
        assert torch.allclose(getattr(before, name), getattr(after, name), atol=1e-12), name


def quaternion_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Hamilton product of a [4] with each of b [N, 4], wxyz."""
    w, x, y, z = a
    rows = [[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]]
    return b @ torch.stack([torch.stack(row) for row in rows]).T


def test_antialiasing_gradient_has_the_right_value():
    """d(det C / det C') / dCxx = 0.132 for C = (1, 0.2; 0.2, 0.5), where blurring twice would give 0.0933."""
    a, b, cross, w = 1.0, 0.5, 0.2, c.BLUR_PX2
    entries = torch.tensor([a, b, cross], dtype=torch.float64)
    values, vectors = torch.linalg.eigh(torch.tensor([[a, cross], [cross, b]], dtype=torch.float64))
    angle = torch.atan2(vectors[1, 0], vectors[0, 0])
    quat = torch.stack([(angle / 2).cos(), 0 * angle, 0 * angle, (angle / 2).sin()])
    scales = torch.cat([values.sqrt(), values.new_tensor([1e-9])]).requires_grad_(True)
    view = PinholeCamera(torch.eye(4).double(), 1.0, 1.0, 8.0, 8.0, 16, 16)  # at z = 1: one unit is one pixel
    one = torch.ones(1, dtype=torch.float64)
    mean = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    given = Gaussians(mean, quat[None], scales[None], one, colors=torch.ones(1, 3, dtype=torch.float64))
    reference.project(given, view, Settings(antialiasing=True)).opacities.square().sum().backward()

    det = (a + w) * (b + w) - cross**2
    partials = torch.stack(
        [
            w * (w * entries[1] + entries[1] ** 2 + entries[2] ** 2),
            w * (w * entries[0] + entries[0] ** 2 + entries[2] ** 2),
            -2 * w * entries[2] * (w + entries[0] + entries[1]),
        ]
    ) / (det * det)
    assert partials[0].item() == pytest.approx(0.132)
    for k in range(2):  # C = sum of scale^2 u u^T
        u = torch.tensor([angle.cos(), angle.sin()] if k == 0 else [-angle.sin(), angle.cos()], dtype=torch.float64)
        change = 2 * scales[k].item() * torch.stack([u[0] ** 2, u[1] ** 2, u[0] * u[1]])
        assert scales.grad[k].item() == pytest.approx((partials * change).sum().item())


def test_cut_off_and_stop():
    """A Gaussian below 1/255 is not there; nothing lies behind saturated pixels; the median is the one that crosses."""
    view = PinholeCamera(torch.eye(4).double(), 10.0, 10.0, 4.0, 4.0, 8, 8)
    means = torch.tensor([[0.0, 0.0, z] for z in (1.0, 2.0, 3.0, 4.0)]).double()
    wide = torch.full((4, 3), 50.0).double()
    quats = torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 4).double()
    opacities = torch.tensor([0.0035, 0.99, 0.985, 0.5]).double()
    gaussians = Gaussians(means, quats, wide, opacities, colors=torch.eye(4, 3).double())
    output = rasterize(gaussians, view, backend="reference")
    assert output.radii[0] == 0  # too faint to be in the image at all
    assert output.color[0].max() == 0  # its red is nowhere
    assert (output.median_ids == 1).all() and (output.median_depth == 2).all()
    assert output.alpha.max() <= 1 - c.TRANSMITTANCE_MIN
    expected = 0.99 * 2 + 0.01 * 0.985 * 3 + 0.00015 * 4 * 0  # the fourth would leave less than 1e-4
    assert output.depth[0, 4, 4].item() == pytest.approx(expected, rel=1e-3)
