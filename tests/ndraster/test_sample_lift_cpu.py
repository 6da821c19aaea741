"""The CPU operators `lift`, `sample_forward` and `sample_backward` against the reference in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from ndraster import CellGrid, Gaussians, PinholeCamera, Settings, rasterize
from ndraster.autograd import packed_camera
from ndraster.backends import load
from torch import Tensor

from tests.ndraster.clouds import CPU, camera, cloud, moved, near_steps
from tests.ndraster.test_rasterize import assert_close

pytestmark = CPU
TOLERANCE = 1e-5
NAMES = ("means", "quats_wxyz", "scales", "opacities", "features")
SIZES = [(10, 12), (5, 6), (1, 7), (9, 1), (1, 1), (13, 48), (60, 71)]  # (rows, columns); the image is 40 x 48


@pytest.fixture(autouse=True)
def backend():
    load("cpu")


def resized(image: Tensor, rows: int, columns: int) -> Tensor:
    return F.interpolate(image[None], (rows, columns), mode="bilinear", align_corners=True)[0]


def arguments(given: Gaussians, view: PinholeCamera, antialiasing: bool = False) -> tuple:
    """Geometry, camera and settings as the operators take them."""
    geometry = (t.detach() for t in (given.means, given.quats_wxyz, given.scales, given.opacities))
    return *geometry, packed_camera(view), view.width, view.height, antialiasing, 0.2, 1.0


def sample(
    given: Gaussians,
    view: PinholeCamera,
    size: tuple[int, int],
    gradient: Tensor,
    geometry: bool = False,
    antialiasing: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The sampled map, and the five gradients of (map * gradient).sum()."""
    *geometry_four, packed, view_width, view_height, _, near, modifier = arguments(given, view)
    settings = (packed, view_width, view_height, antialiasing, near, modifier, "fp32", True)
    call = (*geometry_four, given.features.detach(), *settings, *size, list(CellGrid.corners(size, view)))
    feature_map, saved = torch.ops.ndraster_cpu.sample_forward(*call)
    return feature_map, torch.ops.ndraster_cpu.sample_backward(*call, saved, feature_map, gradient, geometry)


def reference_sample(gaussians: Gaussians, view: PinholeCamera, size: tuple[int, int], gradient: Tensor, settings):
    """The full-size map of the reference, resized; gradients by autograd."""
    leaf = moved(gaussians, torch.float64)
    feature_map = resized(rasterize(leaf, view, settings=settings, backend="reference").features, *size)
    feature_map.backward(gradient.double())
    return feature_map, [getattr(leaf, name).grad for name in NAMES]


def away_from_steps(gaussians: Gaussians, view: PinholeCamera, size: tuple[int, int], settings: Settings) -> Tensor:
    """Outputs [rows, columns] with no source pixel at a cut-off of the model."""
    steps = near_steps(gaussians, view, settings)
    assert steps.float().mean() < 0.05
    return resized(steps[None].double(), *size)[0] == 0


def compare_sample(gaussians: Gaussians, size: tuple[int, int], geometry: bool, antialiasing: bool = False):
    view, settings = camera(), Settings(semantic_geometry_grad=geometry, antialiasing=antialiasing)
    smooth = away_from_steps(gaussians, view, size, settings)
    gradient = torch.randn(gaussians.features.shape[1], *size, generator=torch.Generator().manual_seed(1)) * smooth
    right, right_gradients = reference_sample(gaussians, view, size, gradient, settings)
    given = moved(gaussians, torch.float32)
    ours, our_gradients = sample(given, view, size, gradient, geometry, antialiasing)
    assert ours.shape == right.shape
    assert_close("map", ours[:, smooth], right.detach()[:, smooth], TOLERANCE)
    for name, a, b in zip(NAMES, our_gradients, right_gradients, strict=True):
        assert_close(f"gradient of {name}", a, b, 4 * TOLERANCE)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("geometry", [False, True])
def test_sampling_is_rendering_then_resizing(size, geometry):
    compare_sample(cloud(feature_width=5), size, geometry)


@pytest.mark.parametrize("width", [1, 16, 33, 64, 130])
def test_sampled_feature_widths(width):
    compare_sample(cloud(feature_width=width, seed=1), (10, 12), geometry=True)


def test_sampling_with_antialiasing():
    compare_sample(cloud(feature_width=4, seed=2), (10, 12), geometry=True, antialiasing=True)


def test_sampling_long_lists():
    compare_sample(cloud(700, feature_width=6, seed=3), (10, 12), geometry=True)


def test_sampled_geometry_gradients_are_zero_unless_wanted():
    given = moved(cloud(feature_width=3), torch.float32)
    _, (*geometry, features) = sample(given, camera(), (10, 12), torch.ones(3, 10, 12), geometry=False)
    assert features.abs().sum() > 0 and not any(g.any() for g in geometry)


@pytest.mark.parametrize("geometry", [False, True])
@pytest.mark.parametrize("kept", [0, 60])
def test_sampling_nothing_in_view(kept, geometry):
    given = moved(cloud(feature_width=3), torch.float32)
    tensors = {name: getattr(given, name).detach()[:kept] for name in NAMES}
    given = replace(given, **tensors | {"means": tensors["means"] - torch.tensor([0.0, 0.0, 50.0])})
    feature_map, gradients = sample(given, camera(), (4, 6), torch.ones(3, 4, 6), geometry)
    assert feature_map.shape == (3, 4, 6) and not feature_map.any()
    assert all(g.shape[0] == kept and not g.any() for g in gradients)


def pixels_on(teacher: Tensor, view: PinholeCamera) -> list[float]:
    """Where the image's pixels lie on a map whose corners coincide with it."""
    return list(CellGrid.corners(tuple(teacher.shape[1:]), view).inverse())


def lifted(given: Gaussians, view: PinholeCamera, teacher: Tensor, antialiasing: bool = False) -> tuple[Tensor, Tensor]:
    sums, weights = torch.zeros(len(given.means), teacher.shape[0]), torch.zeros(len(given.means))
    torch.ops.ndraster_cpu.lift(*arguments(given, view, antialiasing), teacher, pixels_on(teacher, view), sums, weights)
    return sums, weights


def reference_lift(gaussians: Gaussians, view: PinholeCamera, teacher: Tensor, settings: Settings) -> Tensor:
    """Sums [N, C] and weights as a last column: the gradient of the feature map in the direction of the teacher."""
    image = resized(teacher.double(), view.height, view.width)
    image = torch.cat([image, torch.ones_like(image[:1])])
    leaf = torch.zeros(len(gaussians.means), len(image), dtype=torch.float64, requires_grad=True)
    given = replace(moved(gaussians, torch.float64), features=leaf)
    rasterize(given, view, settings=settings, backend="reference").features.backward(image)
    return leaf.grad


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 31, 32, 40])
def test_lift(size, channels):
    gaussians, settings = cloud(seed=8), Settings()
    assert not near_steps(gaussians, camera(), settings).any()  # another seed if this fails
    teacher = torch.randn(channels, *size, generator=torch.Generator().manual_seed(2))
    right = reference_lift(gaussians, camera(), teacher, settings)
    sums, weights = lifted(moved(gaussians, torch.float32), camera(), teacher)
    assert_close("sums", sums, right[:, :-1], TOLERANCE)
    assert_close("weights", weights, right[:, -1], TOLERANCE)


def test_lift_adds_to_what_is_there():
    given, teacher = moved(cloud(seed=4), torch.float32), torch.rand(3, 5, 6)
    once = lifted(given, camera(), teacher)
    twice = torch.ones(60, 3), torch.ones(60)
    torch.ops.ndraster_cpu.lift(*arguments(given, camera()), teacher, pixels_on(teacher, camera()), *twice)
    for a, b in zip(once, twice, strict=True):
        assert_close("sums", b - 1, a, 1e-6)


def test_lifting_a_constant_gives_the_constant():
    given = moved(cloud(500, seed=5), torch.float32)
    sums, weights = lifted(given, camera(130, 90), torch.full((2, 7, 9), 3.0), antialiasing=True)
    assert weights.max() > 1
    assert torch.allclose(sums, 3 * weights[:, None].expand(-1, 2), rtol=1e-5, atol=1e-6)


def test_lift_without_gaussians_or_view():
    given = moved(cloud(), torch.float32)
    behind = replace(given, means=given.means.detach() - torch.tensor([0.0, 0.0, 50.0]))
    none = replace(given, **{name: getattr(given, name)[:0] for name in NAMES[:4]})
    for some in (behind, none):
        assert not any(t.any() for t in lifted(some, camera(), torch.ones(2, 3, 4)))


def test_lift_refuses_sums_of_another_size():
    given = moved(cloud(), torch.float32)
    sums, weights = torch.zeros(60, 2), torch.zeros(60)
    with pytest.raises(RuntimeError, match="expected"):
        torch.ops.ndraster_cpu.lift(*arguments(given, camera()), torch.ones(3, 4, 5), [0, 1, 0, 1], sums, weights)


def everything(threads: int) -> list[Tensor]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        given, view = moved(cloud(2000, feature_width=40), torch.float32), camera(130, 90)
        generator = torch.Generator().manual_seed(3)
        gradient, teacher = (torch.randn(40, 12, 17, generator=generator) for _ in range(2))
        feature_map, gradients = sample(given, view, (12, 17), gradient, geometry=True)
        return [feature_map, *gradients, *lifted(given, view, teacher)]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_thread_counts_agree_to_the_bit(threads):
    assert all(torch.equal(a, b) for a, b in zip(everything(threads), everything(2), strict=True))
