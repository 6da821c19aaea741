"""Rasterizing on CUDA without waiting for the device: cameras on the GPU, lists of a given size, graphs."""

from __future__ import annotations

from dataclasses import replace

import ndraster
import pytest
import torch
from ndraster import Settings, ShapeError

from tests.ndraster.clouds import GPU, camera, cloud, gradients, moved

IMAGES = ("color", "depth", "inverse_depth", "alpha", "features")


def on_gpu(view: ndraster.PinholeCamera) -> ndraster.PinholeCamera:
    """The same camera with its numbers on the GPU; those on the CPU are spoilt, so that using them would show."""
    return replace(view, world_to_camera=torch.eye(4), fx=1.0, fy=1.0, packed=view.numbers.float().cuda())


def test_numbers_are_rows_and_intrinsics():
    view = camera()
    assert torch.equal(view.numbers[:12].view(3, 4), view.world_to_camera[:3])
    assert view.numbers[12:].tolist() == [view.fx, view.fy, view.cx, view.cy]


def test_wrong_settings_are_refused():
    gaussians = cloud()
    with pytest.raises(ShapeError, match="max_instances is -1"):
        ndraster.rasterize(gaussians, camera(), settings=Settings(max_instances=-1), backend="reference")
    with pytest.raises(ShapeError, match="expected float32 on the GPU"):
        ndraster.rasterize(gaussians, replace(camera(), packed=torch.zeros(16)), backend="reference")


class TestOnGpu:
    pytestmark = GPU

    @pytest.mark.parametrize("size", [(48, 40), (24, 20)])
    def test_camera_on_the_gpu(self, size):
        gaussians = moved(cloud(feature_width=3), torch.float32, "cuda")
        view = camera().resized(*size)
        right = ndraster.rasterize(gaussians, view)
        ours = ndraster.rasterize(gaussians, on_gpu(camera()).resized(*size))
        for name in IMAGES:
            torch.testing.assert_close(getattr(ours, name), getattr(right, name), rtol=1e-4, atol=1e-4)
        ours = self.gradients_of(gaussians, on_gpu(view))
        for name, right in self.gradients_of(gaussians, view).items():
            torch.testing.assert_close(ours[name], right, rtol=1e-3, atol=1e-3 * float(right.abs().max()))

    @staticmethod
    def gradients_of(gaussians, view):
        gaussians = moved(gaussians, torch.float32)
        ndraster.rasterize(gaussians, view).color.square().sum().backward()
        return {name: g for name, g in gradients(gaussians).items() if g is not None}

    def test_enough_room_changes_nothing(self):
        gaussians = moved(cloud(400), torch.float32, "cuda")
        right = ndraster.rasterize(gaussians, camera())
        needed = int(right.instances)
        for room in (needed, needed + 1, 10 * needed):
            ours = ndraster.rasterize(gaussians, camera(), settings=Settings(max_instances=room))
            assert int(ours.instances) == needed
            assert torch.equal(ours.color, right.color) and torch.equal(ours.median_ids, right.median_ids)

    def test_too_little_room_drops_the_deepest_and_says_so(self):
        gaussians = moved(cloud(400), torch.float32, "cuda")
        right = ndraster.rasterize(gaussians, camera())
        needed = int(right.instances)
        ours = ndraster.rasterize(gaussians, camera(), settings=Settings(max_instances=needed // 2))
        assert int(ours.instances) == needed
        assert bool(ours.alpha.sum() < right.alpha.sum())
        mean_depths = [(output.depth.sum() / output.alpha.sum()).item() for output in (ours, right)]
        assert mean_depths[0] < mean_depths[1]
        ours.color.sum().backward()
        assert torch.isfinite(gaussians.means.grad).all()

    def test_nothing_to_list(self):
        gaussians = moved(cloud(), torch.float32, "cuda")
        away = replace(gaussians, means=gaussians.means + 500)
        none = replace(gaussians, **{n: getattr(gaussians, n)[:0] for n in self.rows(gaussians)})
        for empty in (away, none):
            for room in (0, 100):
                output = ndraster.rasterize(empty, camera(), settings=Settings(max_instances=room))
                assert int(output.instances) == 0 and not output.alpha.any()

    @staticmethod
    def rows(gaussians):
        return [n for n in ("means", "quats_wxyz", "scales", "opacities", "sh") if getattr(gaussians, n) is not None]

    def test_a_graph_is_replayed_with_another_camera(self):
        gaussians = moved(cloud(), torch.float32, "cuda")
        views = [camera(), replace(camera(), fx=60.0, cx=20.0)]
        numbers = views[0].numbers.float().cuda()
        static = replace(views[0], packed=numbers)

        def work():
            leaf = gaussians.means.detach().requires_grad_(True)
            output = ndraster.rasterize(replace(gaussians, means=leaf), static, settings=Settings(max_instances=10_000))
            return output.color, *torch.autograd.grad(output.color.square().sum(), leaf)

        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            color, gradient = work()
        for view in views:
            numbers.copy_(view.numbers)
            graph.replay()
            torch.testing.assert_close(color, ndraster.rasterize(gaussians, view).color, rtol=1e-4, atol=1e-4)
            right = self.gradients_of(gaussians, view)["means"]
            torch.testing.assert_close(gradient, right, rtol=1e-3, atol=1e-3 * float(right.abs().max()))
