"""The distillation loss against render, resize, decode, compare, written out here; values and every gradient."""

from __future__ import annotations

from dataclasses import replace

import ndraster
import pytest
import torch
import torch.nn.functional as F
from ndraster import CellGrid, Settings, ShapeError

from tests.ndraster.clouds import COMPILED, camera, cloud, gradients, moved

WIDTH, CHANNELS, SIZE = 5, 7, (6, 9)
LOSSES = ("l1", "l2", "cosine")
GRIDS = {
    "corners": CellGrid.corners,
    "edge_to_edge": CellGrid.edge_to_edge,
    "beyond the image": lambda size, view: CellGrid(-9.3, 70 / size[1], 5.2, 52 / size[0]),
}
compiled = pytest.mark.parametrize("backend", COMPILED)


def random_map(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def decoder_leaves() -> tuple[torch.Tensor, torch.Tensor]:
    return random_map(CHANNELS, WIDTH, seed=4).requires_grad_(True), random_map(CHANNELS, seed=5).requires_grad_(True)


def written_out(gaussians, view, teacher, loss, decoder, weight, settings):
    """Definition of the loss, element by element."""
    rendered = ndraster.rasterize(gaussians, view, settings=settings, backend="reference").features
    student = F.interpolate(rendered[None], teacher.shape[1:], mode="bilinear", align_corners=True)[0]
    if decoder is not None:
        student = torch.einsum("cd,dhw->chw", decoder[0], student) + decoder[1][:, None, None]
    if loss == "cosine":
        lengths = student.norm(dim=0).clamp_min(1e-6) * teacher.norm(dim=0).clamp_min(1e-6)
        per_pixel = 1 - (student * teacher).sum(0) / lengths
        return (per_pixel * (1 if weight is None else weight[0])).sum() / per_pixel.numel()
    difference = (student - teacher) * (1 if weight is None else weight)
    return (difference.abs() if loss == "l1" else difference**2).sum() / difference.numel()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("geometry", [False, True])
def test_it_is_the_definition(loss, decoded, weighted, geometry):
    teacher = random_map(CHANNELS if decoded else WIDTH, *SIZE)
    weight = random_map(1, *SIZE).sigmoid() if weighted else None
    settings = Settings(semantic_geometry_grad=geometry)
    results = []
    for compute in (written_out, None):
        gaussians, decoder = cloud(30, feature_width=WIDTH), decoder_leaves() if decoded else None
        if compute:
            value = compute(gaussians, camera(), teacher, loss, decoder, weight, settings)
        else:
            options = {"loss": loss, "decoder": decoder, "weight": weight, "backend": "reference"}
            value = ndraster.distill_loss(gaussians, camera(), teacher, settings=settings, **options)
        value.backward()
        found = gradients(gaussians) | {str(i): leaf.grad for i, leaf in enumerate(decoder or ())}
        results.append((value.detach(), found))
    torch.testing.assert_close(results[1][0], results[0][0])
    right, ours = (found for _, found in results)
    assert right["features"].any() and (geometry == (right["means"] is not None and bool(right["means"].any())))
    for name, gradient in right.items():
        if name != "sh":  # the definition renders colours too, which the loss does not look at
            torch.testing.assert_close(ours[name] if gradient is not None else None, gradient, msg=name)


def test_the_gradient_is_the_finite_difference():
    gaussians, teacher = cloud(4, feature_width=2, seed=2), random_map(2, 2, 3)

    def value(features):
        given = replace(gaussians, features=features)
        return ndraster.distill_loss(given, camera(12, 10), teacher, loss="cosine", backend="reference")

    assert torch.autograd.gradcheck(value, gaussians.features)


@compiled
@pytest.mark.parametrize("geometry", [False, True])
@pytest.mark.parametrize("size", [SIZE, (40, 48), (1, 1)])
@pytest.mark.parametrize("kind", GRIDS)
def test_compiled_backends_sample_what_the_reference_samples(backend, geometry, size, kind):
    settings, weight = Settings(semantic_geometry_grad=geometry, precision="fp32"), random_map(WIDTH, *size)
    results = []
    for name, number in (("reference", torch.float64), (backend, torch.float32)):
        where = (number,) if name == "reference" else (number, backend)
        given = moved(cloud(feature_width=WIDTH, seed=8), *where)
        sampled = ndraster.sample_features(given, camera(), size, settings, name, GRIDS[kind](size, camera()))
        (sampled * weight.to(sampled)).sum().backward()
        results.append((sampled.detach(), gradients(given)))
    (right, right_gradients), (ours, our_gradients) = results
    assert (ours.cpu() - right).norm() <= 1e-4 * right.norm()
    for name in ("features", "means", "opacities"):
        pair = (our_gradients[name], right_gradients[name])
        found, expected = (None if g is None else g.cpu().double() for g in pair)
        if not geometry and name != "features":
            assert all(gradient is None or not gradient.any() for gradient in (found, expected))
        else:
            assert (found - expected).norm() <= 1e-3 * expected.norm(), name


@pytest.mark.parametrize("size", [SIZE, (40, 48), (1, 1), (80, 30)])
def test_grids_are_those_of_torch(size):
    image, view = random_map(2, 40, 48), camera(48, 40)
    for corners, grid in ((True, CellGrid.corners), (False, CellGrid.edge_to_edge)):
        right = F.interpolate(image[None], size, mode="bilinear", align_corners=corners)[0]
        torch.testing.assert_close(ndraster.read_bilinear(image, grid(size, view), size), right)


def test_a_grid_and_its_inverse():
    grid = CellGrid(1.5, 4.0, -2.0, 0.5)
    assert grid.inverse().inverse() == grid
    start, step = grid.inverse()[:2]
    assert start + step * (1.5 + 4.0 * 3) == 3


def test_half_precision_teachers_are_taken():
    gaussians, teacher = moved(cloud(feature_width=WIDTH), torch.float32), random_map(WIDTH, *SIZE).half()
    losses = [ndraster.distill_loss(gaussians, camera(), t, backend="reference") for t in (teacher, teacher.float())]
    assert losses[0] == losses[1]


def test_no_gaussians_and_no_gradient_to_the_teacher():
    gaussians = cloud(feature_width=WIDTH)
    none = ndraster.Gaussians(**{n: getattr(gaussians, n)[:0] for n in ("means", "quats_wxyz", "scales", "opacities")},
                              sh=gaussians.sh[:0], features=gaussians.features[:0])  # fmt: skip
    teacher = random_map(WIDTH, *SIZE).requires_grad_(True)
    torch.testing.assert_close(
        ndraster.distill_loss(none, camera(), teacher, backend="reference"), teacher.detach().abs().mean()
    )
    ndraster.distill_loss(gaussians, camera(), teacher, backend="reference").backward()
    assert teacher.grad is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": torch.zeros(WIDTH, 4)}, r"teacher has shape \[5, 4\]; expected \[any, any, any\]"),
        ({"teacher": torch.zeros(WIDTH, 0, 4)}, "none of them 0"),
        ({"teacher": torch.zeros(WIDTH, 2, 4, dtype=torch.int32)}, "expected floats"),
        ({"teacher": torch.zeros(CHANNELS, 2, 4)}, "teacher has 7 channels, features 5; expected"),
        ({"decoder": (torch.zeros(WIDTH, 3), None)}, r"decoder weight has shape \[5, 3\]; expected \[5, 5\]"),
        ({"decoder": (torch.zeros(WIDTH, WIDTH), torch.zeros(2))}, r"decoder bias has shape \[2\]; expected \[5\]"),
        ({"weight": torch.zeros(1, 3, 3)}, r"weight has shape \[1, 3, 3\]; expected \[1, 6, 9\]"),
        ({"loss": "l3"}, "loss is 'l3'; expected one of l1, l2, cosine"),
        ({"settings": Settings(feature_size=(3, 3))}, "feature_size is .* expected None"),
        ({"gaussians": cloud()}, "have no features"),
    ],
)
def test_bad_input_is_one_line(changes, message):
    given = {"gaussians": cloud(feature_width=WIDTH), "teacher": torch.zeros(WIDTH, *SIZE), "backend": "reference"}
    with pytest.raises(ShapeError, match=message) as caught:
        ndraster.distill_loss(camera=camera(), **(given | changes))
    assert "\n" not in str(caught.value)


def test_an_empty_size_is_refused():
    with pytest.raises(ShapeError, match=r"size is \(0, 3\)"):
        ndraster.sample_features(cloud(feature_width=2), camera(), (0, 3), backend="reference")


@pytest.mark.parametrize("loss", LOSSES)
def test_distance_ignores_pixels_without_weight(loss):
    student, teacher, weight = random_map(3, 4, 6), random_map(3, 4, 6, seed=1), torch.ones(1, 4, 6).double()
    weight[:, :, 3:] = 0
    other = torch.where(weight.bool(), teacher, random_map(3, 4, 6, seed=9))
    distance = ndraster.feature_distance
    torch.testing.assert_close(distance(student, teacher, loss, weight), distance(student, other, loss, weight))
    assert distance(student, teacher, loss, weight) != distance(student, teacher, loss)


@pytest.mark.parametrize("loss", LOSSES)
def test_distance_is_zero_for_equal_maps_only(loss):
    student, teacher = random_map(3, 4, 6), random_map(3, 4, 6, seed=1)
    assert float(ndraster.feature_distance(teacher, teacher, loss)) == pytest.approx(0, abs=1e-9)
    assert float(ndraster.feature_distance(student, teacher, loss)) > 0.1


def test_cosine_ignores_length():
    student, teacher = random_map(3, 4, 6), random_map(3, 4, 6, seed=1)
    values = [ndraster.feature_distance(scale * student, teacher, "cosine") for scale in (1.0, 3.0)]
    torch.testing.assert_close(*values)
