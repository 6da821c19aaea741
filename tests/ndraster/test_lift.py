"""Lifting against the sums written out with the reference's own blending weights."""

from __future__ import annotations

from dataclasses import replace

import ndraster
import pytest
import torch
import torch.nn.functional as F
from ndraster import CellGrid, FeatureLift, Settings, ShapeError
from ndraster import lift as lift_function
from ndraster.lift import CHUNK

from tests.ndraster.clouds import COMPILED, camera, cloud, moved

SIZE = (5, 7)
compiled = pytest.mark.parametrize("backend", COMPILED)


def views(channels: int = 4, count: int = 3) -> list[tuple[ndraster.PinholeCamera, torch.Tensor]]:
    """Shifted cameras of two sizes with random maps."""
    generator = torch.Generator().manual_seed(7)
    result = []
    for index in range(count):
        view = camera(48 - 5 * index, 40)
        pose = view.world_to_camera.clone()
        pose[0, 3] += 0.3 * index
        teacher = torch.randn(channels, *SIZE, generator=generator).double()
        result.append((replace(view, world_to_camera=pose), teacher))
    return result


def blending_weights(gaussians, view, settings=None) -> torch.Tensor:
    """w [N, H, W] of every Gaussian: what is seen of it when it alone has a one as its feature."""
    one_hot = torch.eye(gaussians.means.shape[0], dtype=torch.float64)
    given = replace(moved(gaussians, torch.float64), features=one_hot)
    with torch.no_grad():
        return ndraster.rasterize(given, view, settings=settings or Settings(), backend="reference").features


def written_out(gaussians, given_views, settings=None, align_corners=True) -> tuple[torch.Tensor, torch.Tensor]:
    """The two sums of the definition, and their quotient where there is one."""
    sums, weights = 0, 0
    for view, teacher in given_views:
        w = blending_weights(gaussians, view, settings)
        size = (view.height, view.width)
        resized = F.interpolate(teacher[None], size, mode="bilinear", align_corners=align_corners)[0]
        sums, weights = sums + torch.einsum("nhw,chw->nc", w, resized), weights + w.sum((1, 2))
    return torch.where(weights[:, None] > 0, sums / weights[:, None], torch.zeros_like(sums)), weights


@pytest.mark.parametrize("settings", [Settings(), Settings(antialiasing=True, scale_modifier=0.7)])
def test_it_is_the_weighted_mean(settings):
    gaussians = cloud(40, seed=1)
    lifted = lift_function(gaussians, views(), settings, "reference")
    features, weights = written_out(gaussians, views(), settings)
    torch.testing.assert_close(lifted.features, features)
    torch.testing.assert_close(lifted.weights, weights)
    assert not lifted.features.requires_grad and (weights > 0).sum() > 20


@compiled
@pytest.mark.parametrize("channels", [1, 3, CHUNK, CHUNK + 1])
def test_compiled_backends(backend, channels):
    gaussians = cloud(60, feature_width=2, seed=1)
    given = moved(gaussians, torch.float32, backend)
    lifted = lift_function(given, [(v, t.float().to(backend)) for v, t in views(channels)], backend=backend)
    features, weights = written_out(gaussians, views(channels))
    assert lifted.features.shape == (60, channels) and lifted.features.dtype == torch.float32
    assert (lifted.weights.cpu() - weights).norm() <= 1e-3 * weights.norm()
    seen = weights > 0.5  # a few hundredths of a pixel may go either way at a cut-off
    error = (lifted.features.cpu() - features)[seen].norm()
    assert error <= 2e-3 * features[seen].norm()


@pytest.mark.parametrize("backend", ["reference", *COMPILED])
def test_a_map_whose_cells_cover_the_image_edge_to_edge(backend):
    number, device = (torch.float64, "cpu") if backend == "reference" else (torch.float32, backend)
    gaussians = cloud(60, seed=1)
    placed = [(v, t.to(device, number), CellGrid.edge_to_edge(SIZE, v)) for v, t in views()]
    lifted = lift_function(moved(gaussians, number, device), placed, backend=backend)
    features, weights = written_out(gaussians, views(), align_corners=False)
    seen = weights > 0.5
    assert (lifted.features.cpu() - features)[seen].norm() <= 2e-3 * features[seen].norm()
    others = written_out(gaussians, views())[0]
    assert (others - features)[seen].norm() > 0.05 * features[seen].norm()


def test_chunks_do_not_matter():
    gaussians, channels = cloud(20, seed=3), 2 * CHUNK + 3
    together = lift_function(gaussians, views(channels), backend="reference").features
    last = [(view, teacher[-5:]) for view, teacher in views(channels)]
    torch.testing.assert_close(together[:, -5:], lift_function(gaussians, last, backend="reference").features)


def test_a_constant_teacher_gives_that_constant():
    constant = torch.tensor([0.3, -2.0, 7.0]).double()
    maps = [(view, constant[:, None, None].expand(3, *SIZE)) for view, _ in views()]
    lifted = lift_function(cloud(40), maps, backend="reference")
    seen = lifted.weights > 0
    torch.testing.assert_close(lifted.features[seen], constant.expand(int(seen.sum()), 3), atol=1e-12, rtol=0)


def test_unseen_gaussians_stay_zero():
    gaussians = cloud(40)
    with torch.no_grad():
        gaussians.means[:7, 2] = -9.0
    lifted = lift_function(gaussians, views(), backend="reference")
    assert not lifted.features[:7].any() and not lifted.weights[:7].any()
    assert torch.isfinite(lifted.features).all()


def test_moving_gaussians_are_where_they_are():
    """A Gaussian that moves with the camera sees what it would see at rest."""
    gaussians, ((view, teacher), *_) = cloud(30), views()
    shift = torch.tensor([5.0, 0.0, 0.0]).double()
    pose = view.world_to_camera.clone()
    pose[:3, 3] -= pose[:3, :3] @ shift
    running = FeatureLift(gaussians, teacher.shape[0], backend="reference")
    running.add(view, teacher)
    running.add(replace(view, world_to_camera=pose), teacher, replace(gaussians, means=gaussians.means + shift))
    still = lift_function(gaussians, [(view, teacher)], backend="reference")
    lifted = running.finish()
    torch.testing.assert_close(lifted.features, still.features)
    torch.testing.assert_close(lifted.weights, 2 * still.weights)


def test_half_precision_maps_and_own_features_do_not_matter():
    (view, teacher), *_ = views()
    with_features = lift_function(cloud(30, feature_width=3), [(view, teacher.half())], backend="reference")
    plain = lift_function(cloud(30), [(view, teacher.half().double())], backend="reference")
    torch.testing.assert_close(with_features.features, plain.features)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (torch.zeros(4, 5), r"teacher has shape \[4, 5\]"),
        (torch.zeros(3, *SIZE), "this view has 40 Gaussians and 3 channels; expected 40 and 4"),
        (torch.zeros(4, 0, 7), "none of them 0"),
    ],
)
def test_bad_maps_are_one_line(teacher, message):
    running = FeatureLift(cloud(40), 4, backend="reference")
    with pytest.raises(ShapeError, match=message):
        running.add(camera(), teacher)


def test_no_view_is_one_line():
    with pytest.raises(ShapeError, match="no view"):
        lift_function(cloud(3), [])
