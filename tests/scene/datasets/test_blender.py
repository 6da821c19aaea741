"""NeRF-synthetic scenes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from scene.datasets import ReadOptions, read_scene
from scene.scene_info import DatasetError
from tests.helpers import data_path
from tests.scene.small_scenes import HEIGHT, WIDTH, blender_scene


def test_names_never_collide_and_split_is_by_file(tmp_path):
    root = blender_scene(tmp_path)
    joined = read_scene(root)
    assert joined.reader == "blender" and joined.points is None
    assert len(joined.train) == 7 and joined.test == ()
    split = read_scene(root, ReadOptions(eval=True))
    assert [camera.image_name for camera in split.train] == [f"train/r_{index}.png" for index in range(4)]
    assert [camera.image_name for camera in split.test] == [f"test/r_{index}.png" for index in range(3)]
    assert split.random_box == ((-1.3, -1.3, -1.3), (1.3, 1.3, 1.3))


def test_focal_length_and_axes(tmp_path):
    camera = read_scene(blender_scene(tmp_path)).train[0]
    assert camera.fx == camera.fy == pytest.approx(WIDTH / 2 / math.tan(0.35))
    assert (camera.cx, camera.cy) == (WIDTH / 2, HEIGHT / 2)
    np.testing.assert_allclose(camera.center, [4 * math.cos(0.3), 4 * math.sin(0.3), 0], atol=1e-9)
    origin = camera.world_to_camera @ [0, 0, 0, 1]
    np.testing.assert_allclose(origin, [0, 0, 4, 1], atol=1e-9)  # the camera looks at it: z forward
    above = camera.world_to_camera @ [0, 0, 1, 1]
    np.testing.assert_allclose(above, [0, -1, 4, 1], atol=1e-9)  # up in the world is -y: y down


def test_file_path_with_extension(tmp_path):
    root = blender_scene(tmp_path)
    path = root / "transforms_train.json"
    document = json.loads(path.read_text())
    for frame in document["frames"]:
        frame["file_path"] += ".png"
    path.write_text(json.dumps(document))
    assert read_scene(root).train[0].image_name == "train/r_0.png"


def test_test_list_names_views_of_either_file(tmp_path):
    root = blender_scene(tmp_path)
    (tmp_path / "list.txt").write_text("train/r_1\ntest/r_0.png\n")
    info = read_scene(root, ReadOptions(test_list=str(tmp_path / "list.txt")))
    assert [camera.image_name for camera in info.test] == ["train/r_1.png", "test/r_0.png"]
    assert len(info.train) == 5


def test_eval_needs_test_views(tmp_path):
    root = blender_scene(tmp_path)
    (root / "transforms_test.json").unlink()
    assert len(read_scene(root).train) == 4
    with pytest.raises(DatasetError, match=r"transforms_test.json: no such file"):
        read_scene(root, ReadOptions(eval=True))


def test_chair_silhouettes_lie_where_the_cube_projects():
    """Axes check on real renders: the visual hull of a few silhouettes is inside [-1.3, 1.3]^3 and not empty."""
    info = read_scene(data_path("nerf_synthetic_chair"), ReadOptions(eval=True))
    assert (len(info.train), len(info.test)) == (75, 20)
    axis = np.linspace(-1.3, 1.3, 32)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.ones(len(grid), bool)
    for camera in info.train[::5]:
        inside &= _covered(camera, grid)
    assert 0.01 < inside.mean() < 0.3
    for camera in info.test[::5]:
        assert _covered(camera, grid[inside]).mean() > 0.85  # views that did not carve it agree


def _covered(camera, points):
    """Whether the pixel that each point projects to is not transparent."""
    local = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    x = np.floor(camera.fx * local[:, 0] / local[:, 2] + camera.cx).astype(int)
    y = np.floor(camera.fy * local[:, 1] / local[:, 2] + camera.cy).astype(int)
    alpha = np.asarray(Image.open(camera.image_path))[:, :, 3]
    visible = (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height) & (local[:, 2] > 0)
    covered = np.zeros(len(points), bool)
    covered[visible] = alpha[y[visible], x[visible]] > 10
    return covered
