"""render() and the one loop over frames."""

import math
from dataclasses import replace

import pytest
import torch

from gaussian_renderer import render
from gaussian_renderer.blend_weights import blend_weights
from gaussian_renderer.frames import render_frames
from tests.blobs import COLORS, REFERENCE, blob_labels, blob_model, ring_cameras


class ListSink:
    """Keeps the frames it gets."""

    def __init__(self, needs_features: bool):
        self.needs_features, self.frames, self.log = needs_features, [], []

    def __enter__(self):
        self.log.append("enter")
        return self

    def __exit__(self, *exception):
        self.log.append(exception[0])

    def add(self, frame):
        self.frames.append(frame)


def test_render_shows_each_ball_in_its_colour():
    model, camera = blob_model(), ring_cameras(1)[0]
    output = render(camera, model, torch.ones(3), settings=REFERENCE)
    assert output.color.shape == (3, 40, 48) and output.features.shape == (4, 40, 48)
    rows = model.activated().means @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    for label in range(2):
        x, y, z = rows[blob_labels() == label].mean(0).tolist()
        column, row = int(camera.fx * x / z + camera.cx), int(camera.fy * y / z + camera.cy)
        torch.testing.assert_close(output.color[:, row, column], COLORS[label], atol=0.05, rtol=0)
        assert output.features[:, row, column].argmax() == label
    torch.testing.assert_close(output.color[:, 0, 0], torch.ones(3))


def test_features_can_be_replaced_and_skipped():
    model, camera = blob_model(), ring_cameras(1)[0]
    ones = torch.ones(model.num_gaussians, 1)
    output = render(camera, model, settings=REFERENCE, features=ones)
    torch.testing.assert_close(output.features, output.alpha)
    assert render(camera, model, settings=replace(REFERENCE, with_features=False)).features is None


def test_feature_map_has_the_asked_for_size():
    output = render(ring_cameras(1)[0], blob_model(), settings=replace(REFERENCE, feature_size=(10, 12)))
    assert output.features.shape == (4, 10, 12) and output.color.shape == (3, 40, 48)


@pytest.mark.parametrize("needs_features", [True, False])
def test_every_sink_gets_every_frame_and_features_only_when_asked(needs_features):
    sinks = [ListSink(needs_features), ListSink(False)]
    count = render_frames(iter(ring_cameras(3)), blob_model(), sinks, settings=REFERENCE)
    assert count == 3
    for sink in sinks:
        assert [frame.index for frame in sink.frames] == [0, 1, 2]
        assert sink.log == ["enter", None]
        assert all((frame.output.features is not None) == needs_features for frame in sink.frames)


def test_sinks_are_closed_when_rendering_fails():
    def cameras():
        yield ring_cameras(1)[0]
        raise KeyboardInterrupt

    sink = ListSink(False)
    with pytest.raises(KeyboardInterrupt):
        render_frames(cameras(), blob_model(), [sink], settings=REFERENCE)
    assert sink.log == ["enter", KeyboardInterrupt]


def test_blend_weights_sum_to_the_seen_alpha():
    model, cameras = blob_model(), ring_cameras(2)
    weights = blend_weights(cameras, model, REFERENCE)
    with torch.no_grad():
        alpha = sum(float(render(camera, model, settings=REFERENCE).alpha.sum()) for camera in cameras)
    assert weights.shape == (model.num_gaussians,) and (weights >= 0).all()
    assert math.isclose(float(weights.sum()), alpha, rel_tol=1e-4)
    assert all(parameter.grad is None for parameter in model.params.values())
