import numpy as np
import pytest
import torch

from gaussian_renderer.camera_file import read_cameras
from gaussian_renderer.click_file import read_clicks
from scene.formats import read_splats
from tests.blobs import blob_labels, ring_cameras
from tests.moving_blobs import moving_blobs, timed_ring
from tests.viewer.scenes import blob_source, desk_served
from tests.viewer.test_questions import pixel_of
from utils.errors import UserError
from utils.image_io import read_image
from viewer.client_cameras import client_camera, pose_of
from viewer.session import CLICK_SIDE_PX, Session
from viewer.source import Snapshot


@pytest.fixture
def session(tmp_path):
    with desk_served() as desk:
        yield Session(blob_source(tmp_path, model_path=tmp_path), desk)


def at_view(index: int, size=(96, 80)):
    return client_camera(pose_of(ring_cameras()[index], size[0] / size[1]), size, 0.0)


def test_a_click_at_a_photograph_is_its_pixel(session):
    x, y = pixel_of(0)
    answer = session.click(at_view(0), 2 * x + 1, 2 * y + 1)  # the canvas is twice as large
    clicks = answer.question.clicks[0]
    assert clicks.camera is session.source.train[0] and clicks.asked.positive == ((x, y),)
    assert (answer.selection.mask == (blob_labels() == 0)).float().mean() > 0.98


def test_a_click_elsewhere_is_read_from_a_picture_of_its_own(session):
    view = ring_cameras(7)[1]
    camera = client_camera(pose_of(view, 1.2), (4 * CLICK_SIDE_PX, 3200), 0.0)
    x, y = (4 * CLICK_SIDE_PX / view.width * value for value in pixel_of(1, view))
    answer = session.click(camera, x, y)
    assert max(answer.question.clicks[0].camera.width, answer.question.clicks[0].camera.height) == CLICK_SIDE_PX
    assert (answer.selection.mask == (blob_labels() == 1)).float().mean() > 0.98


def test_undo_clear_and_decide(session):
    touched = []
    session.changed = lambda: touched.append(1)
    camera = at_view(0)
    first = session.click(camera, *(2 * value + 1 for value in pixel_of(0)))
    second = session.click(camera, *(2 * value + 1 for value in pixel_of(1)))
    assert second.count > first.count and len(touched) == 2
    loose = session.decide(-1.0, connected=False)
    assert loose.count == 120 and session.question.threshold == -1.0
    assert torch.equal(session.undo().selection.mask, first.selection.mask)
    assert session.undo() is None and session.undo() is None
    session.click(camera, *(2 * value + 1 for value in pixel_of(0)))
    session.clear()
    assert session.answer is None and session.decide(0.5, True) is None


def test_a_failed_click_changes_nothing(session):
    session.click(at_view(0), *(2 * value + 1 for value in pixel_of(0)))
    before = session.answer
    with pytest.raises(UserError):
        session.click(at_view(0), 0.0, 0.0)
    assert session.answer is before and len(session.question.clicks[0].asked.positive) == 1


def test_exports_are_files_and_the_commands_that_make_them(session, tmp_path):
    with pytest.raises(UserError, match="nothing is selected"):
        session.export_selection("ball")
    session.click(at_view(0), *(2 * value + 1 for value in pixel_of(0)))
    exported = session.export_selection("ball")
    parts = [len(read_splats(tmp_path / "segment" / "ball" / f"{name}.ply")) for name in ("selected", "rest")]
    assert parts == [session.answer.count, 120 - session.answer.count]
    x, y = pixel_of(0)
    assert exported.command == f"python segment.py -m {tmp_path} --view 0 --point {x} {y} --name ball"
    assert read_clicks(tmp_path / "viewer" / "ball_clicks.json")[0][1].positive == ((x, y),)
    for name in ("", "..", "a/b", "-x"):
        with pytest.raises(UserError, match="name"):
            session.export_selection(name)


def test_what_is_visible_is_exported(session, tmp_path):
    session.click(at_view(0), *(2 * value + 1 for value in pixel_of(0)))
    session.change(show="without the selection")
    session.export_visible("others")
    assert len(read_splats(tmp_path / "viewer" / "others.ply")) == 120 - session.answer.count


def test_pictures_and_paths(session, tmp_path):
    exported = session.export_picture(at_view(0), "shot")
    assert "--camera_path" in exported.command
    saved = read_image(tmp_path / "viewer" / "shot.png")
    assert np.array_equal(saved, session.desk.ask(lambda: session.paint(at_view(0))))
    torch.testing.assert_close(
        read_cameras(tmp_path / "viewer" / "shot.json")[0].world_to_camera, at_view(0).world_to_camera
    )
    session.path += [at_view(0)]
    with pytest.raises(UserError, match="at least 2"):
        session.export_path(10, "way")
    session.path += [at_view(1), at_view(2)]
    session.export_path(9, "way")
    cameras = read_cameras(tmp_path / "viewer" / "way.json")
    assert len(cameras) == 9
    torch.testing.assert_close(cameras[4].center, at_view(1).center)


def test_a_splat_file_alone_has_no_commands(tmp_path):
    with desk_served() as desk:
        session = Session(blob_source(tmp_path), desk)
        session.click(at_view(0), *(2 * value + 1 for value in pixel_of(0)))
        exported = session.export_selection("ball")
        assert not exported.command and exported.files[0] == tmp_path / "viewer" / "ball" / "selected.ply"
        assert str(exported).startswith("written: ") and not session.export_picture(at_view(0), "shot").command


def test_a_moving_scene_is_written_as_it_is_at_the_moment(tmp_path):
    with desk_served() as desk:
        session = Session(blob_source(tmp_path, moving_blobs(), timed_ring()), desk)
        session.click(timed_ring()[0], *pixel_of(0))
        for time in (0.0, 1.0):
            session.change(time=time)
            session.export_selection(f"ball{time:.0f}")
        heights = [
            read_splats(tmp_path / "viewer" / f"ball{time}" / "selected.ply").xyz[:, 1].mean() for time in (0, 1)
        ]
        assert abs(heights[0] - heights[1] - 1.0) < 0.05  # it rises by one unit, y points down


def test_answers_follow_a_model_whose_gaussians_change(tmp_path):
    now = [Snapshot(blob_source(tmp_path).now().model)]
    with desk_served() as desk:
        session = Session(blob_source(tmp_path, now=lambda: now[0]), desk)
        session.click(at_view(0), *(2 * value + 1 for value in pixel_of(0)))
        told = []
        session.refresh_if_outdated(told.append)
        desk.ask(lambda: None)
        assert not told
        now[0] = Snapshot(now[0].model.subset(torch.arange(80)), rows=1, values=1)
        session.refresh_if_outdated(told.append)
        desk.ask(lambda: None)
        assert told == [None] and session.answer.rows == 1 and len(session.answer.selection.mask) == 80
        now[0] = Snapshot(now[0].model.subset(torch.arange(40, 80)), rows=2, values=2)  # the clicked ball is gone
        session.refresh_if_outdated(told.append)
        desk.ask(lambda: None)
        assert isinstance(told[-1], UserError) and session.answer is None
