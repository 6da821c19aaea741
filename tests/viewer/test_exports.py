from pathlib import Path

import pytest
import torch

from gaussian_renderer.camera_file import read_cameras
from scene.formats import read_splats
from tests.blobs import blob_labels, ring_cameras
from tests.moving_blobs import moving_blobs
from tests.viewer.scenes import blob_source
from tests.viewer.test_painter import answer_of
from utils.errors import UserError
from viewer.exports import Exported, export_path, export_picture, export_selection, export_visible
from viewer.painter import Shown

RED = blob_labels() == 0


def test_what_was_written_is_said_with_the_command():
    assert str(Exported((Path("a"), Path("b")))) == "written: a, b"
    assert str(Exported((Path("a"),), "python x.py")) == "written: a\npython x.py"


def test_words_leave_no_file_of_clicks(tmp_path):
    source = blob_source(tmp_path, model_path=tmp_path / "run", iteration=30)
    exported = export_selection(source, source.now().model, answer_of(RED), "ball", 0.0)
    assert [path.name for path in exported.files] == ["selected.ply", "rest.ply"]
    assert exported.command.endswith("--text red --iteration 30 --name ball")
    with pytest.raises(UserError, match="nothing is selected"):
        export_selection(source, source.now().model, answer_of(RED & False), "ball", 0.0)


def test_a_moving_model_is_written_at_its_moment(tmp_path):
    source = blob_source(tmp_path)
    for time in (0.0, 0.5):
        export_visible(source, Shown(moving_blobs().subset(RED)), f"at{time}", time)
    heights = [read_splats(source.folder / f"at{time}.ply").xyz[:, 1] for time in (0.0, 0.5)]
    assert abs(heights[0] - heights[1] - 0.5).max() < 1e-5


def test_pictures_come_with_their_camera(tmp_path):
    source, camera = blob_source(tmp_path), ring_cameras()[2]
    export_picture(source, torch.rand(3, camera.height, camera.width), camera, "shot")
    (found,) = read_cameras(source.folder / "shot.json")
    assert found.image_name == "shot" and (found.width, found.height) == (camera.width, camera.height)


def test_paths_go_through_their_cameras_in_order(tmp_path):
    source, keys = blob_source(tmp_path), [ring_cameras()[index] for index in (4, 0, 2)]
    export_path(source, keys, 5, "way")
    cameras = read_cameras(source.folder / "way.json")
    assert len(cameras) == 5
    for key, found in zip(keys, cameras[::2], strict=True):
        torch.testing.assert_close(found.center, key.center, atol=1e-4, rtol=0)
