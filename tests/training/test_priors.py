"""training/priors.py"""

from dataclasses import replace
from types import SimpleNamespace

import ndraster
import pytest
import torch

from arguments import OptimizationParams
from gaussian_renderer import render
from scene.image_store import GroundTruth
from tests.blobs import REFERENCE, blob_model, ring_cameras
from training.priors import MCMC_WEIGHT, Priors, robust_depth_loss
from utils.errors import UserError

PICTURE = torch.zeros(3, 4, 6)


def priors(**options) -> Priors:
    return Priors(OptimizationParams(**options), torch.device("cpu"))


def drawn(inverse_depth: torch.Tensor) -> SimpleNamespace:
    return SimpleNamespace(inverse_depth=inverse_depth)


def test_without_options_nothing_is_asked():
    assert priors().losses(drawn(torch.ones(1, 4, 6)), GroundTruth(PICTURE, None, None), blob_model()) == {}


def test_the_depth_loss_is_the_mean_difference_where_pixels_count():
    target, weight = torch.full((1, 4, 6), 0.5), torch.zeros(1, 4, 6)
    weight[:, :, :3] = 1.0
    truth = GroundTruth(PICTURE, None, weight, None, target)
    losses = priors().losses(drawn(torch.full((1, 4, 6), 0.7)), truth, blob_model())
    assert float(losses["depth"]) == pytest.approx(0.1)


def test_the_weight_of_depths_falls_from_first_to_last():
    ours = priors(iterations=100)
    found = []
    for iteration in (0, 50, 100):
        ours.prepare(iteration)
        found.append(float(ours.weights["depth"]))
    assert found == pytest.approx([1.0, 0.1, 0.01])


def test_the_tolerance_of_the_robust_loss_falls_at_first():
    """From far away everything is pulled, in the end only what is near."""
    ours, far = priors(iterations=100, depth_loss="robust"), torch.full((1, 4, 6), 1.5, requires_grad=True)
    truth = GroundTruth(PICTURE, None, None, None, torch.full((1, 4, 6), 0.5))
    pulls = []
    for iteration in (1, 20, 100):
        ours.prepare(iteration)
        loss = ours.losses(drawn(far), truth, blob_model())["depth"]
        pulls.append(float(torch.autograd.grad(loss, far)[0].sum()))
    assert pulls[0] > 20 * pulls[1] > 0 and pulls[1] == pytest.approx(pulls[2])


def test_the_weight_stays_at_its_place():
    """A CUDA graph reads it there."""
    ours = priors()
    before = ours.weights["depth"].data_ptr()
    ours.prepare(7)
    assert ours.weights["depth"].data_ptr() == before


@pytest.mark.parametrize("weights", [(0.0, 0.1), (0.1, 0.0), (-1.0, -1.0)])
def test_weights_that_make_no_schedule_are_refused(weights):
    with pytest.raises(UserError, match="--depth_l1_weight_init"):
        priors(depth_l1_weight_init=weights[0], depth_l1_weight_final=weights[1])


@pytest.mark.parametrize("with_antialiasing", [False, True])
def test_gradients_of_rendered_inverse_depth_equal_finite_differences(with_antialiasing):
    """Through the whole of `render`, in every stored parameter that moves it."""
    model = blob_model(per_blob=2)
    camera = ring_cameras(1, 16, 12)[0]
    settings = replace(REFERENCE, antialiasing=with_antialiasing).raster_settings(0)
    names = ("means", "quats_wxyz", "scales", "opacities")
    gaussians = replace(model.activated(), features=None)
    start = {name: getattr(gaussians, name).detach().double() for name in names}
    target = torch.rand(1, 12, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss(values: dict) -> torch.Tensor:
        shaped = replace(gaussians, sh=None, sh_rest=None, colors=torch.zeros_like(values["means"]), **values)
        return ndraster.rasterize(shaped, camera.pinhole, None, settings, "reference").inverse_depth.mul(target).sum()

    leaves = {name: value.clone().requires_grad_(True) for name, value in start.items()}
    loss(leaves).backward()
    generator, step = torch.Generator().manual_seed(1), 1e-6
    for name in names:
        direction = torch.randn(start[name].shape, dtype=torch.float64, generator=generator)
        ends = [loss({**start, name: start[name] + sign * step * direction}) for sign in (1, -1)]
        slope = float((ends[0] - ends[1]).detach()) / (2 * step)
        assert float((leaves[name].grad * direction).sum()) == pytest.approx(slope, rel=2e-3, abs=1e-6), name


def test_every_backend_has_the_same_gradient_of_inverse_depth():
    if "cpu" not in ndraster.available_backends():
        pytest.skip("no compiled backend here")
    camera, found = ring_cameras(1, 24, 20)[0], {}
    for backend in ("reference", "cpu"):
        model = blob_model(per_blob=10)
        output = render(camera, model, settings=replace(REFERENCE, backend=backend))
        (output.inverse_depth - 0.3).abs().mean().backward()
        found[backend] = {name: p.grad for name, p in model.params.items() if p.grad is not None}
    for name, gradient in found["reference"].items():
        torch.testing.assert_close(found["cpu"][name], gradient, rtol=1e-3, atol=1e-6)


def test_the_robust_loss_is_small_and_flat_where_a_map_is_wrong():
    target = torch.full((1, 4, 6), 0.5)
    rendered = target.clone().requires_grad_(True)
    wrong = target.clone()
    wrong[0, 0, 0] = 5.0  # one pixel of the map
    near, far = rendered + 0.02, wrong
    gradient_near = torch.autograd.grad(robust_depth_loss(near, target), rendered)[0][0, 1, 1]
    gradient_far = torch.autograd.grad(robust_depth_loss(rendered, far), rendered)[0][0, 0, 0]
    assert abs(float(gradient_far)) < 0.02 * abs(float(gradient_near))
    assert float(robust_depth_loss(target, target)) == 0.0


def test_the_robust_loss_has_no_gradient_trouble_at_zero():
    rendered = torch.zeros(1, 4, 6, requires_grad=True)
    robust_depth_loss(rendered, torch.zeros(1, 4, 6)).backward()
    assert bool(rendered.grad.isfinite().all())


def test_regularisers_are_means_of_what_is_rendered():
    model = blob_model()
    losses = priors(opacity_reg=0.1, scale_reg=0.2).losses(
        drawn(torch.ones(1, 4, 6)), GroundTruth(PICTURE, None, None), model
    )
    gaussians = model.activated()
    torch.testing.assert_close(losses["opacity"], gaussians.opacities.mean())
    torch.testing.assert_close(losses["scale"], gaussians.scales.mean())
    assert set(losses) == {"opacity", "scale"}


def test_mcmc_brings_the_weights_of_the_paper():
    assert (priors().weights["opacity"], priors().weights["scale"]) == (0.0, 0.0)
    mcmc = priors(densification="mcmc", scale_reg=0.0).weights
    assert (mcmc["opacity"], mcmc["scale"]) == (MCMC_WEIGHT, 0.0)
