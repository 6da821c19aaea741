"""Points carried by Gaussians: who carries them, where they get to, and what stands still."""

from dataclasses import replace

import pytest
import torch
from ndraster import Gaussians

from gaussian_renderer import render
from gaussian_renderer.anchors import project
from gaussian_renderer.point_queries import (
    CarrierRules,
    Carriers,
    carriers_of_pixels,
    carriers_of_points,
    foreground,
    log_influences,
)
from scene.gaussian_model import GaussianModel
from scene.motion import Motion
from tests.blobs import CENTRES, REFERENCE, blob_labels, blob_model, ring_cameras
from tests.moving_blobs import moving_blobs
from utils.errors import UserError
from utils.transforms import quaternion_multiply, quaternion_to_matrix

SINGLE = CarrierRules(1)
TURN = torch.tensor([0.9, 0.1, -0.3, 0.2])
WAY = torch.tensor([0.5, -1.0, 0.25])


class Rigid(Motion):
    """Everything turns about the origin and moves on, as one."""

    kind = "per_timestep"
    code_width = 2

    @classmethod
    def create(cls, setup):
        return cls()

    def at(self, model, time):
        still = model.activated()
        quat = torch.nn.functional.normalize(torch.lerp(torch.tensor([1.0, 0, 0, 0]), TURN, time), dim=0)
        means = still.means @ quaternion_to_matrix(quat).T + time * WAY
        return replace(still, means=means, quats_wxyz=quaternion_multiply(quat.expand(len(means), 4), still.quats_wxyz))


def truly(points, time):
    quat = torch.lerp(torch.tensor([1.0, 0, 0, 0]), TURN, time)
    return points @ quaternion_to_matrix(quat).T + time * WAY


def rigid_model(foreground_balls=(0, 1, 2)):
    model = blob_model()
    generator = torch.Generator().manual_seed(5)
    params = {name: value.detach().clone() for name, value in model.params.items()}
    params["rotation"] = torch.randn(len(model), 4, generator=generator)
    params["scaling"] = params["scaling"] + 0.5 * torch.randn(len(model), 3, generator=generator)
    is_foreground = torch.isin(blob_labels(), torch.tensor(foreground_balls)).float()
    params["motion_code"] = torch.stack([is_foreground, torch.zeros(len(model))], 1)
    for value in params.values():
        value.requires_grad_(False)
    return GaussianModel(params, motion=Rigid())


def points_near(model, count=20):
    generator = torch.Generator().manual_seed(7)
    chosen = torch.randint(len(model), (count,), generator=generator)
    return model.means[chosen].detach() + 0.05 * torch.randn(count, 3, generator=generator)


def at_times(points, time):
    return torch.full((len(points),), time, dtype=torch.float64)


def test_influence_is_the_density_times_the_opacity():
    gaussians = rigid_model().at(0.3)
    points = points_near(rigid_model())
    covariances = []
    for quat, scale in zip(gaussians.quats_wxyz, gaussians.scales, strict=True):
        axes = quaternion_to_matrix(quat).double() * scale.double()
        covariances.append(axes @ axes.T)
    offsets = points[:, None].double() - gaussians.means.double()
    squares = torch.einsum("pni,nij,pnj->pn", offsets, torch.linalg.inv(torch.stack(covariances)), offsets)
    expected = gaussians.opacities.double().log() - squares / 2
    torch.testing.assert_close(log_influences(gaussians, points).double(), expected, rtol=1e-4, atol=1e-4)


def test_the_carrier_is_the_most_influential_gaussian(monkeypatch):
    model = rigid_model()
    points = points_near(model)
    expected = log_influences(model.at(0.0), points).argmax(1)
    for chunk in (1 << 22, 150):
        monkeypatch.setattr("gaussian_renderer.point_queries.CHUNK", chunk)
        for rules in (SINGLE, CarrierRules(8)):
            found = carriers_of_points(model, points, at_times(points, 0.0), rules)
            assert found.ids[:, 0].tolist() == expected.tolist(), "also in small portions"


@pytest.mark.parametrize("count", [1, 2, 8, 500])
@pytest.mark.parametrize("asked", [0.0, 0.6])
def test_points_of_a_rigid_body_are_carried_exactly(count, asked):
    model = rigid_model()
    places = points_near(model)
    found = carriers_of_points(model, truly(places, asked), at_times(places, asked), CarrierRules(count))
    for time in (0.0, 0.35, asked, 1.0):
        torch.testing.assert_close(found.at(model.at(time)), truly(places, time), atol=2e-5, rtol=0)


def test_each_point_has_its_own_time():
    model, times = rigid_model(), [0.8, 0.0, 0.8, 0.3]
    places = points_near(model, 4)
    asked = torch.stack([truly(place[None], time)[0] for place, time in zip(places, times, strict=True)])
    found = carriers_of_points(model, asked, torch.tensor(times), CarrierRules())
    assert found.times.tolist() == pytest.approx(times)
    torch.testing.assert_close(found.points, asked)
    torch.testing.assert_close(found.at(model.at(1.0)), truly(places, 1.0), atol=2e-5, rtol=0)


def test_what_is_on_the_background_stands_still():
    model = rigid_model(foreground_balls=(0,))
    points = CENTRES.clone()
    found = carriers_of_points(model, points, at_times(points, 0.0), CarrierRules())
    assert found.static.tolist() == [False, True, True]
    torch.testing.assert_close(found.at(model.at(1.0))[1:], CENTRES[1:])
    assert (found.at(model.at(1.0))[0] - CENTRES[0]).norm() > 0.5
    assert foreground(model).sum() == 40 and foreground(moving_blobs()).all(), "without labels all may move"


def test_what_no_gaussian_touches_stands_still():
    model = rigid_model()
    far = torch.tensor([[0.0, -9.0, 0.0], [-1.0, 0.0, 0.0]])
    found = carriers_of_points(model, far, at_times(far, 0.0), CarrierRules())
    assert found.static.tolist() == [True, False]
    torch.testing.assert_close(found.at(model.at(1.0))[0], far[0])


def test_the_published_rule_stops_faint_carriers_too():
    model = rigid_model(foreground_balls=())
    model.params["opacity"].data[:] = -0.2  # 0.45
    points = model.means[:3].detach()
    found = carriers_of_points(model, points, at_times(points, 0.0), CarrierRules(compat_static=True))
    assert found.static.all()
    model.params["opacity"].data[:] = 0.2  # 0.55
    found = carriers_of_points(model, points, at_times(points, 0.0), CarrierRules(compat_static=True))
    assert not found.static.any(), "whatever the labels say"


def test_only_gaussians_of_the_carriers_kind_help():
    """Two coinciding Gaussians, one of the foreground, one of the background."""
    model = rigid_model()
    chosen = model.subset(torch.tensor([0, 0]))
    chosen.params["motion_code"].data[1, 0] = 0
    chosen.params["opacity"].data[:, 0] = torch.tensor([3.0, 2.9])
    found = carriers_of_points(chosen, chosen.means.detach()[:1], torch.zeros(1), CarrierRules())
    assert found.ids.tolist() == [[0, 1]] and found.weights.tolist() == [[1, 0]] and not found.static[0]


def fleeing(count, escaped):
    """Gaussians around the origin, of which the first `escaped` run away."""
    generator = torch.Generator().manual_seed(2)
    means = 0.1 * torch.randn(count, 3, generator=generator)
    quats = torch.tensor([1.0, 0, 0, 0]).expand(count, 4)
    start = Gaussians(means, quats, torch.full((count, 3), 0.1), torch.ones(count))
    moved = means + torch.tensor([1.0, 0, 0]) + 0.001 * torch.randn(count, 3, generator=generator)
    moved[:escaped] += 5.0
    return start, replace(start, means=moved)


@pytest.mark.parametrize("escaped", [0, 1, 3])
def test_carriers_that_leave_the_others_do_not_count(escaped):
    start, end = fleeing(8, escaped)
    ids = torch.arange(8)[None]
    weights = torch.linspace(1, 0.3, 8)[None]  # those that flee weigh most
    carriers = Carriers(
        torch.zeros(1, 3), torch.zeros(1), ids, -start.means[None], weights, torch.zeros(1, dtype=torch.bool)
    )
    torch.testing.assert_close(carriers.at(start), torch.zeros(1, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(carriers.at(end), torch.tensor([[1.0, 0, 0]]), atol=3e-3, rtol=0)


def test_of_two_carriers_none_is_wrong():
    start, end = fleeing(2, 1)
    ids, weights = torch.arange(2)[None], torch.ones(1, 2)
    carriers = Carriers(
        torch.zeros(1, 3), torch.zeros(1), ids, -start.means[None], weights, torch.zeros(1, dtype=torch.bool)
    )
    assert carriers.at(end)[0].tolist() == pytest.approx([3.5, 2.5, 2.5], abs=0.01)


def pixels_on(camera, points):
    return project(camera, points)[0]


def test_a_pixel_is_carried_by_the_gaussian_of_the_median_depth():
    model, camera = rigid_model(), ring_cameras(4)[0]
    pixels = pixels_on(camera, CENTRES)
    found = carriers_of_pixels(model, camera, pixels, SINGLE, REFERENCE)
    medians = render(camera, model, settings=REFERENCE).median_ids
    columns, rows = pixels.long().unbind(1)
    assert found.ids[:, 0].tolist() == medians[rows, columns].tolist()
    torch.testing.assert_close(pixels_on(camera, found.points), pixels, atol=1e-3, rtol=0)
    assert (project(camera, found.points)[1] - project(camera, CENTRES)[1]).abs().max() < 0.6, "on the balls"
    several = carriers_of_pixels(model, camera, pixels, CarrierRules(8), REFERENCE)
    assert several.ids[:, 0].tolist() == found.ids[:, 0].tolist()
    assert all(len(set(row)) == 8 for row in several.ids.tolist()), "no one twice"
    torch.testing.assert_close(several.at(model.at(0.7)), truly(found.points, 0.7), atol=2e-5, rtol=0)


def test_a_flat_gaussian_is_met_in_its_plane():
    """One large disc through the origin, tilted by 45 degrees about the camera's x axis, seen along z."""
    model = rigid_model().subset(torch.tensor([0]))
    model.params["xyz"].data[:] = 0
    model.params["rotation"].data[:] = torch.tensor([[0.9238795, 0.3826834, 0, 0]])
    model.params["scaling"].data[:] = torch.tensor([[1.0, 1.0, 1e-3]]).log()
    model.params["opacity"].data[:] = 9
    pose = torch.eye(4)
    pose[2, 3] = 4.0
    camera = replace(ring_cameras(1)[0], world_to_camera=pose)
    x, y = camera.cx + 3.0, camera.cy + 4.0
    found = carriers_of_pixels(model, camera, torch.tensor([[x, y]]), SINGLE, REFERENCE)
    point = found.points[0]
    normal = quaternion_to_matrix(model.quats_wxyz.detach())[0, :, 2]
    assert abs(float(point @ normal)) < 1e-3 and abs(float(point[2])) > 0.2, "in the plane, not at the mean's depth"


@pytest.mark.parametrize("pixel", [(0.5, 0.5), (-1.0, 3.0), (48.0, 3.0)])
def test_a_pixel_that_shows_nothing(pixel):
    model, camera = rigid_model(), ring_cameras(4)[0]
    asked = torch.tensor([pixel, pixels_on(camera, CENTRES)[0].tolist()])
    with pytest.raises(UserError, match="shows nothing"):
        carriers_of_pixels(model, camera, asked, SINGLE, REFERENCE)
    found = carriers_of_pixels(model, camera, asked, CarrierRules(), REFERENCE, may_miss=True)
    places = found.at(model.at(0.5))
    assert places[0].isnan().all() and places[1].isfinite().all()
