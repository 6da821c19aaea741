"""Every compiled backend against the reference in float64: all images, all gradients, and the awkward inputs."""

from __future__ import annotations

import os
from dataclasses import replace

import ndraster
import pytest
import torch
from ndraster import Gaussians, PinholeCamera, Settings

from tests.ndraster.clouds import (
    COMPILED,
    IMAGES,
    camera,
    cloud,
    gradients,
    loss_weights,
    moved,
    near_steps,
    with_colors,
)

TOLERANCE = {"cpu": 1e-5, "cuda": 1e-4}  # relative, of norms; float32 against float64
BACKGROUND = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)

compiled = pytest.mark.parametrize("backend", COMPILED)


def run(gaussians: Gaussians, view: PinholeCamera, settings: Settings, backend: str, weights: dict, seen=None):
    """Rasterize over a background, and the gradients of the weighted sum of the images; None weights: random ones."""
    device = gaussians.means.device
    background = BACKGROUND.clone().to(gaussians.means).requires_grad_(True)
    output = ndraster.rasterize(gaussians, view, background, settings, backend)
    weights = loss_weights(output) if weights is None else weights
    loss = torch.zeros((), dtype=gaussians.means.dtype, device=device)
    for name, weight in weights.items():
        image = getattr(output, name)
        mask = 1.0 if seen is None or image.shape[1:] != seen.shape else seen.to(image)
        loss = loss + (image * weight.to(image) * mask).sum()
    loss.backward()
    return output, gradients(gaussians) | {"background": background.grad, "probe": output.screen_probe.grad}


def assert_close(name: str, ours: torch.Tensor | None, right: torch.Tensor | None, tolerance: float):
    """Equal up to `tolerance` of the norm; None counts as zeros."""
    if ours is None and right is None:
        return
    right = torch.zeros_like(ours, device="cpu") if right is None else right.double()
    ours = torch.zeros_like(right) if ours is None else ours.detach().cpu().double()
    assert torch.isfinite(ours).all(), name
    error, size = (ours - right).norm().item(), right.norm().item()
    assert error <= tolerance * max(size, 0.1), f"{name}: error {error:.2e} of {size:.2e}"


def compare(backend: str, gaussians: Gaussians, view: PinholeCamera, settings: Settings, weights: dict | None = None):
    """Forward and gradients against the reference. Pixels at a hard step are left out of the loss and counted."""
    tolerance = TOLERANCE[backend]
    settings = replace(settings, precision="fp32")
    steps = near_steps(gaussians, view, settings)
    assert steps.float().mean() < 0.05
    right, right_gradients = run(moved(gaussians, torch.float64), view, settings, "reference", weights, ~steps)
    given = moved(gaussians, torch.float32, backend)
    ours, our_gradients = run(given, view, settings, backend, weights, ~steps)
    for name in IMAGES:
        image, expected = getattr(ours, name), getattr(right, name)
        if expected is None:
            assert image is None
            continue
        same_size = expected.shape[1:] == steps.shape
        kept = ~steps if same_size else torch.ones(expected.shape[1:], dtype=torch.bool)
        assert_close(name, image.cpu()[:, kept], expected.detach()[:, kept], tolerance)
        if same_size and name != "median_depth":  # at a step, one Gaussian of alpha 1/255 or of light 1e-4 is at stake
            assert (image.cpu() - expected)[:, steps].abs().sum() <= 0.05 * expected.abs().max() * max(1, steps.sum())
    assert torch.equal(ours.median_ids.cpu()[~steps], right.median_ids[~steps].int())
    assert torch.equal(ours.radii.cpu(), right.radii)
    visible = right.radii > 0
    assert_close("means2d", ours.means2d.cpu()[visible], right.means2d[visible], tolerance)
    for name, gradient in our_gradients.items():
        assert_close(f"gradient of {name}", gradient, right_gradients[name], 4 * tolerance)


@compiled
@pytest.mark.parametrize("width", [1, 3, 16, 33, 64, 128, 384, 512])
def test_feature_widths(backend, width):
    settings = Settings(semantic_geometry_grad=width % 2 == 0)
    compare(backend, cloud(feature_width=width), camera(), settings)


@compiled
def test_widest_features_forward(backend):
    gaussians = cloud(feature_width=1024)
    right = ndraster.rasterize(gaussians, camera(), backend="reference").features
    exact = Settings(precision="fp32")
    ours = ndraster.rasterize(moved(gaussians, torch.float32, backend), camera(), None, exact, backend).features
    steps = near_steps(gaussians, camera(), Settings())
    assert_close("features", ours.cpu()[:, ~steps], right.detach()[:, ~steps], TOLERANCE[backend])


@compiled
@pytest.mark.parametrize("antialiasing", [False, True])
@pytest.mark.parametrize("geometry", [False, True])
def test_settings(backend, antialiasing, geometry):
    settings = Settings(antialiasing=antialiasing, semantic_geometry_grad=geometry, scale_modifier=0.75)
    compare(backend, cloud(feature_width=5, seed=2), camera(), settings)


@compiled
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_active_degree_below_the_stored_one(backend, degree):
    gaussians = cloud(degree=3, seed=3)
    compare(backend, gaussians, camera(), Settings(sh_degree=degree))
    given = moved(gaussians, torch.float32, backend)
    ndraster.rasterize(given, camera(), settings=Settings(sh_degree=degree), backend=backend).color.sum().backward()
    assert (given.sh.grad[:, (degree + 1) ** 2 :] == 0).all()


@compiled
def test_stored_degree_zero(backend):
    compare(backend, cloud(degree=0), camera(), Settings(sh_degree=0))


@compiled
def test_colors_instead_of_harmonics(backend):
    compare(backend, with_colors(cloud(feature_width=3)), camera(), Settings())


@compiled
@pytest.mark.parametrize("size", [(48, 32), (33, 17), (1, 1), (5, 70)])
def test_any_image_size(backend, size):
    compare(backend, cloud(feature_width=4), camera(*size), Settings(semantic_geometry_grad=True))


@compiled
@pytest.mark.parametrize("name", ["color", "depth", "inverse_depth", "alpha", "features"])
@pytest.mark.parametrize("geometry", [False, True])
def test_one_image_in_the_loss(backend, name, geometry):
    gaussians, settings = cloud(feature_width=7, seed=4), Settings(semantic_geometry_grad=geometry)
    weights = loss_weights(ndraster.rasterize(gaussians, camera(), backend="reference"))
    compare(backend, gaussians, camera(), settings, {name: weights[name]})


@compiled
def test_feature_loss_alone_leaves_geometry_alone(backend):
    given = moved(cloud(feature_width=6), torch.float32, backend)
    output = ndraster.rasterize(given, camera(), backend=backend)
    output.features.square().sum().backward()
    left = gradients(given)
    assert left.pop("features").abs().sum() > 0
    assert all(gradient is None or not gradient.any() for gradient in left.values())
    assert output.screen_probe.grad is None or not output.screen_probe.grad.any()


@compiled
@pytest.mark.parametrize("geometry", [False, True])
def test_features_on_their_own_grid(backend, geometry):
    settings = Settings(feature_size=(10, 12), semantic_geometry_grad=geometry)
    gaussians = cloud(feature_width=4, seed=5)
    assert not near_steps(gaussians, camera().resized(12, 10), settings).any()  # another seed if this fails
    compare(backend, gaussians, camera(), settings)


@compiled
def test_absolute_screen_gradient_is_not_below_the_signed_one(backend):
    given = moved(cloud(), torch.float32, backend)
    output = ndraster.rasterize(given, camera(), backend=backend)
    output.color.square().sum().backward()
    probe = output.screen_probe.grad
    assert (probe[:, 2:] >= probe[:, :2].abs() * (1 - 1e-5)).all()
    assert (probe[output.radii == 0] == 0).all()


@compiled
def test_no_gaussians(backend):
    gaussians = cloud(feature_width=3)
    none = Gaussians(*(getattr(gaussians, n)[:0] for n in ("means", "quats_wxyz", "scales", "opacities", "sh")))
    given = moved(replace(none, features=gaussians.features[:0]), torch.float32, backend)
    output = ndraster.rasterize(given, camera(), BACKGROUND.to(given.means), backend=backend)
    (output.color.sum() + output.features.sum() + output.alpha.sum()).backward()
    assert torch.equal(output.color.cpu()[:, 3, 4], BACKGROUND.float())
    assert not output.alpha.any() and (output.median_ids == -1).all() and output.features.shape == (3, 40, 48)


@compiled
@pytest.mark.parametrize("offset", [(0.0, 0.0, -20.0), (500.0, 0.0, 0.0), (0.0, -500.0, 0.0), (float("nan"), 0.0, 0.0)])
def test_nothing_in_view(backend, offset):
    given = moved(cloud(feature_width=3), torch.float32, backend)
    shifted = replace(given, means=given.means + torch.tensor(offset, device=given.means.device))
    output = ndraster.rasterize(shifted, camera(), backend=backend)
    (output.color.sum() + output.features.sum() + output.depth.sum() + output.alpha.sum()).backward()
    assert not output.radii.any() and not output.color.any() and not output.depth.any()
    assert not given.means.grad.any() and not given.scales.grad.any() and not given.features.grad.any()


@compiled
def test_one_bad_gaussian_does_not_spoil_the_others(backend):
    given = moved(cloud(), torch.float32, backend)
    with torch.no_grad():
        given.means[7], given.scales[11], given.quats_wxyz[13] = float("nan"), float("nan"), float("nan")
        given.opacities[17] = float("nan")
    output = ndraster.rasterize(given, camera(), backend=backend)
    output.color.sum().backward()
    assert torch.isfinite(output.color).all()
    others = torch.ones(60, dtype=torch.bool, device=given.means.device)
    others[[7, 11, 13, 17]] = False
    assert all(torch.isfinite(g[others]).all() for g in gradients(given).values())


@compiled
def test_opaque_wall_stops_the_light(backend):
    """Many Gaussians at opacity 1: the cap, saturation and long lists."""
    gaussians = cloud(400, feature_width=2, seed=6)
    with torch.no_grad():
        gaussians.opacities.fill_(1.0)
        gaussians.scales.mul_(2)
    compare(backend, gaussians, camera(), Settings(semantic_geometry_grad=True))


@compiled
def test_without_gradients(backend):
    given = moved(cloud(feature_width=3), torch.float32, backend)
    with torch.no_grad():
        output = ndraster.rasterize(given, camera(), backend=backend)
    assert not output.color.requires_grad and output.alpha.max() > 0.5


@compiled
@pytest.mark.parametrize("width", [1, 24, 32, 100, 512])
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_precision_of_features(backend, width, precision):
    """Half-precision operands lose 1e-3 at most, the other grade 1e-5; gradients keep their direction."""
    gaussians, view = cloud(300, feature_width=width, seed=8), camera(80, 60)
    settings = Settings(semantic_geometry_grad=True, precision=precision)
    steps = near_steps(gaussians, view, settings)
    weights = {"features": loss_weights(ndraster.rasterize(gaussians, view, backend="reference"))["features"]}
    right, right_gradients = run(moved(gaussians, torch.float64), view, settings, "reference", weights, ~steps)
    ours, our_gradients = run(moved(gaussians, torch.float32, backend), view, settings, backend, weights, ~steps)
    bound = 1e-3 if precision == "fp16" else 1e-5
    assert_close("features", ours.features.cpu()[:, ~steps], right.features.detach()[:, ~steps], bound)
    assert_close("gradient of features", our_gradients["features"], right_gradients["features"], bound)
    for name in ("means", "quats_wxyz", "scales", "opacities", "features"):
        cosine = torch.cosine_similarity(
            our_gradients[name].cpu().double().flatten(), right_gradients[name].flatten(), 0
        )
        assert cosine > 0.9999, name


@compiled
@pytest.mark.skipif(os.environ.get("NDRASTER_SIMT") == "1", reason="the way without matrix units has no such mode")
@pytest.mark.parametrize("width", [3, 40, 70])
def test_deterministic_mode_repeats_every_bit(backend, width):
    given = moved(cloud(300, feature_width=width, seed=9), torch.float32, backend)
    settings = Settings(semantic_geometry_grad=True, deterministic=True)
    runs = []
    for _ in range(3):
        for tensor in vars(given).values():
            if tensor is not None:
                tensor.grad = None
        output = ndraster.rasterize(given, camera(80, 60), settings=settings, backend=backend)
        (output.color.square().sum() + output.features.square().sum() + output.depth.sum()).backward()
        runs.append([output.color, output.features, *gradients(given).values(), output.screen_probe.grad])
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))
    compare(backend, cloud(300, feature_width=width, seed=9), camera(80, 60), settings)
