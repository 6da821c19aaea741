from dataclasses import replace

import pytest
import torch

from gaussian_renderer import render
from scene.selection import Selection
from tests.blobs import REFERENCE, blob_labels, blob_model, ring_cameras
from tests.moving_blobs import moving_blobs, timed_ring
from tests.viewer.scenes import blob_source
from utils.colormaps import depth_to_image
from viewer.painter import Painter
from viewer.questions import Answer, Question
from viewer.row_groups import RowGroup
from viewer.source import Snapshot
from viewer.view_state import ONLY, PLAIN, WITHOUT, Crop, ViewState

CAMERA = ring_cameras()[0]
RED = blob_labels() == 0
WHITE = torch.ones(3)


def answer_of(mask, rows=0) -> Answer:
    similarity = torch.where(mask, 0.9, 0.1)
    return Answer(Question(word="red"), Selection(mask, similarity, similarity, 0.5), torch.ones(len(mask)), rows)


@torch.no_grad()
def direct(model, background=None, **settings):
    return render(CAMERA, model, background, settings=replace(REFERENCE, with_features=False, **settings))


def test_colour_depth_and_alpha_are_the_renders(tmp_path):
    painter, output = Painter(blob_source(tmp_path, background=WHITE)), direct(blob_model(), WHITE)
    assert torch.equal(painter.paint(CAMERA, ViewState()), output.color.clamp(0, 1))
    assert torch.equal(painter.paint(CAMERA, ViewState(mode="depth")), depth_to_image(output.depth, output.alpha))
    alpha = painter.paint(CAMERA, ViewState(mode="alpha"))
    assert alpha.shape == (3, CAMERA.height, CAMERA.width) and torch.equal(alpha[1], output.alpha[0].clamp(0, 1))
    small = painter.paint(CAMERA, ViewState(scale=0.5))
    torch.testing.assert_close(small, direct(blob_model(), WHITE, scale_modifier=0.5).color.clamp(0, 1))


def test_features_have_the_same_colours_as_in_render_py(tmp_path):
    source = blob_source(tmp_path, basis_path=tmp_path / "basis.safetensors")
    first = Painter(source).paint(CAMERA, ViewState(mode="features"))
    assert source.basis_path.is_file()
    assert torch.equal(Painter(source).paint(CAMERA, ViewState(mode="features")), first)
    colors = [first[:, 20, column] for column in (10, 38)]  # two balls
    assert (colors[0] - colors[1]).abs().max() > 0.3


def test_label_models_show_their_classes(tmp_path):
    model = blob_model(feature_dim=3, noise=0.0).with_features(4 * torch.eye(3)[blob_labels()])
    painted = Painter(blob_source(tmp_path, model, classes=("a", "b", "c"))).paint(CAMERA, ViewState(mode="labels"))
    assert len(painted.flatten(1).T.mul(255).round().unique(dim=0)) > 3


def test_similarity_is_hot_where_it_is_high(tmp_path):
    painted = Painter(blob_source(tmp_path)).paint(CAMERA, ViewState(mode="similarity"), answer_of(RED))
    shown = direct(blob_model().subset(RED)).alpha[0] > 0.9
    rest = direct(blob_model().subset(~RED)).alpha[0] > 0.9
    red, blue = painted[0], painted[2]
    assert (red - blue)[shown & ~rest].mean() > 0.3  # red, and dark where it is low
    assert (red - blue)[rest & ~shown].mean().abs() < 0.1 and painted[:, rest & ~shown].mean() < 0.3


def test_a_selection_is_marked_isolated_or_left_out(tmp_path):
    painter, answer = Painter(blob_source(tmp_path)), answer_of(RED)
    plain = painter.paint(CAMERA, ViewState())
    marked = painter.paint(CAMERA, ViewState(), answer)
    assert not torch.equal(marked, plain)
    assert torch.equal(painter.paint(CAMERA, ViewState(show=PLAIN), answer), plain)
    only = painter.paint(CAMERA, ViewState(show=ONLY), answer)
    without = painter.paint(CAMERA, ViewState(show=WITHOUT), answer)
    torch.testing.assert_close(only, direct(blob_model().subset(RED)).color.clamp(0, 1))
    torch.testing.assert_close(without, direct(blob_model().subset(~RED)).color.clamp(0, 1))
    assert torch.equal(painter.paint(CAMERA, ViewState(), answer_of(RED, rows="earlier")), plain)  # of other Gaussians


def test_layers_and_crop_box_hide_gaussians(tmp_path):
    groups = (RowGroup("red", RED), RowGroup("others", ~RED))
    painter = Painter(blob_source(tmp_path, groups=groups))
    hidden = painter.paint(CAMERA, ViewState(hidden=frozenset({"others"})))
    torch.testing.assert_close(hidden, direct(blob_model().subset(RED)).color.clamp(0, 1))
    boxed = painter.paint(CAMERA, ViewState(crop=Crop((-1.0, 0.0, 0.0), (1.2, 9.0, 1.2))))
    torch.testing.assert_close(boxed, hidden)
    assert float(painter.paint(CAMERA, ViewState(hidden=frozenset({"others", "red"}))).max()) == 0


def test_what_changes_is_drawn_anew(tmp_path):
    now = [Snapshot(blob_model())]
    painter = Painter(blob_source(tmp_path, now=lambda: now[0]))
    state = ViewState(crop=Crop((0.0, 0.0, 0.0), (9.0, 9.0, 9.0)))
    before = painter.paint(CAMERA, state)
    with torch.no_grad():
        now[0].model.params["xyz"] += 0.3
    now[0] = replace(now[0], values=1)
    assert not torch.equal(painter.paint(CAMERA, state), before)


def test_a_crop_box_of_a_moving_scene_stands_still(tmp_path):
    painter = Painter(blob_source(tmp_path, moving_blobs(), timed_ring()))
    state = ViewState(crop=Crop((-1.0, 0.0, 0.0), (1.2, 1.4, 1.2)))
    assert float(painter.paint(replace(CAMERA, time=0.0), state).max()) > 0.3
    early = painter.paint(replace(CAMERA, time=0.0), state).sum()
    assert float(painter.paint(replace(CAMERA, time=1.0), state).sum()) < 0.5 * float(early)  # the ball has left it


def test_selected_gaussians_draw_their_ways(tmp_path):
    painter = Painter(blob_source(tmp_path, moving_blobs(), timed_ring()))
    camera, answer = replace(CAMERA, time=1.0), answer_of(RED)
    with_tails = painter.paint(camera, ViewState(time=1.0, show=PLAIN), answer)
    without = painter.paint(camera, ViewState(time=1.0, show=PLAIN, tails=False), answer)
    assert torch.equal(with_tails, without)  # plain is plain
    marked = [painter.paint(camera, ViewState(time=1.0, tails=tails), answer) for tails in (True, False)]
    changed = (marked[0] != marked[1]).any(0).nonzero()[:, 0]
    assert len(changed) > 10 and int(changed.max()) - int(changed.min()) > 6  # rows: the ball has risen


def test_the_photograph_is_shown_at_its_view_only(tmp_path):
    class Photos:
        def get(self, camera, background):
            return type("Photo", (), {"image": torch.full((3, camera.height, camera.width), 0.75)})

    views = [replace(camera, info=object()) for camera in ring_cameras()]
    painter = Painter(blob_source(tmp_path, cameras=views, images=Photos()))
    state = ViewState(comparison="split", share=0.5)
    split = painter.paint(CAMERA, state)
    half = CAMERA.width // 2
    assert torch.allclose(split[:, :, : half - 2], torch.tensor(0.75))
    assert torch.equal(split[:, :, half + 2 :], painter.paint(CAMERA, ViewState())[:, :, half + 2 :])
    moved = CAMERA.world_to_camera.clone()
    moved[0, 3] += 0.2
    away = replace(CAMERA, world_to_camera=moved)
    assert torch.equal(painter.paint(away, state), painter.paint(away, ViewState()))


@pytest.mark.parametrize("mode", ["features", "labels", "similarity"])
def test_modes_that_a_model_lacks_show_its_colours(tmp_path, mode):
    painter = Painter(blob_source(tmp_path, blob_model().with_features(None), teacher=None))
    assert torch.equal(painter.paint(CAMERA, ViewState(mode=mode)), painter.paint(CAMERA, ViewState()))
