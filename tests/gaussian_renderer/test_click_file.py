import json
from dataclasses import replace

import pytest
import torch

from gaussian_renderer.click_file import read_clicks, write_clicks
from gaussian_renderer.mask_lifting import ViewPrompt
from tests.blobs import ring_cameras
from utils.errors import UserError


def test_clicks_survive_their_file(tmp_path):
    first, second = (replace(camera, time=0.25, cx=20.5) for camera in ring_cameras()[:2])
    clicks = [(first, ViewPrompt(((1, 2), (3, 4)))), (second, ViewPrompt((), ((5, 6),)))]
    write_clicks(tmp_path / "clicks.json", clicks)
    for (camera, asked), (given, wanted) in zip(read_clicks(tmp_path / "clicks.json"), clicks, strict=True):
        assert asked == wanted
        torch.testing.assert_close(camera.world_to_camera, given.world_to_camera)
        for name in ("image_name", "fx", "fy", "cx", "cy", "width", "height", "time"):
            assert getattr(camera, name) == getattr(given, name)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.pop("camera"),
        lambda row: row.pop("negative"),
        lambda row: row.update(positive=[[1]]),
        lambda row: row.update(positive=[[1.5, 2]]),
        lambda row: row.update(positive=3),
        lambda row: row["camera"].update(width=0),
        lambda row: row["camera"].pop("fx"),
    ],
)
def test_a_wrong_entry_is_one_line(tmp_path, change):
    path = tmp_path / "clicks.json"
    write_clicks(path, [(ring_cameras()[0], ViewPrompt(((1, 2),)))])
    rows = json.loads(path.read_text())
    change(rows[0])
    path.write_text(json.dumps(rows))
    with pytest.raises(UserError, match="view 0"):
        read_clicks(path)


@pytest.mark.parametrize("content", ["{}", "[]", "[3]"])
def test_a_wrong_file_is_one_line(tmp_path, content):
    (tmp_path / "clicks.json").write_text(content)
    with pytest.raises(UserError, match="clicks.json"):
        read_clicks(tmp_path / "clicks.json")
