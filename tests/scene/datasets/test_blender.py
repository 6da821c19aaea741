"""NeRF-synthetic and D-NeRF scenes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from examples.make_scene import SceneOptions, make
from scene.datasets import ReadOptions, read_scene
from scene.formats.ply import write_points
from scene.scene_info import DatasetError, PointCloud
from tests.helpers import data_path
from tests.scene.small_scenes import HEIGHT, WIDTH, blender_scene, nerf_frames, write_images, write_json


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


def dynamic_scene(root, times, **extra):
    """Four train, three test and three val pictures; `times` and `extra` go into the frames in this order."""
    times = iter(times)
    for part, count in (("train", 4), ("test", 3), ("val", 3)):
        names = [f"{part}/r_{index}" for index in range(count)]
        write_images(root, [f"{name}.png" for name in names], mode="RGBA")
        frames = [frame | {"time": next(times)} | extra for frame in nerf_frames([f"./{name}" for name in names])]
        write_json(root / f"transforms_{part}.json", {"camera_angle_x": 0.7, "frames": frames})
    return root


def test_moments_and_the_file_of_the_test_views(tmp_path):
    root = dynamic_scene(tmp_path, [index / 9 for index in range(10)])
    info = read_scene(root, ReadOptions(eval=True))
    assert info.is_dynamic and info.num_times == 7 and info.warnings == ()
    assert [camera.time for camera in info.test] == [4 / 9, 5 / 9, 6 / 9]
    val = read_scene(root, ReadOptions(eval=True, dnerf_test="val"))
    assert [camera.image_name for camera in val.test] == ["val/r_0.png", "val/r_1.png", "val/r_2.png"]
    assert [camera.time for camera in val.test] == [7 / 9, 8 / 9, 1.0]
    assert [camera.image_name for camera in val.train] == [camera.image_name for camera in info.train]


def test_frame_numbers_share_one_scale_over_both_files(tmp_path):
    info = read_scene(dynamic_scene(tmp_path, range(10)), ReadOptions(eval=True))
    assert [camera.time for camera in (*info.train, *info.test)] == [index / 6 for index in range(7)]
    assert len(info.warnings) == 1 and "times 0 to 6 are used as 0 to 1" in info.warnings[0]


def test_a_missing_time(tmp_path):
    root = dynamic_scene(tmp_path, [0.5] * 10)
    path = root / "transforms_test.json"
    document = json.loads(path.read_text())
    document["frames"][1].pop("time")
    write_json(path, document)
    with pytest.raises(DatasetError, match=r"1 of 7 pictures have no time \(test/r_1.png\)"):
        read_scene(root)


def test_intrinsics_of_every_frame_and_principal_point(tmp_path):
    root = dynamic_scene(tmp_path, [0.0] * 10, fl_x=30.0, fl_y=31.0, cx=20.0, cy=9.0, w=2 * WIDTH, h=2 * HEIGHT)
    camera = read_scene(root).train[0]
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (15.0, 15.5, 10.0, 4.5)


def test_points_of_the_folder(tmp_path):
    root = blender_scene(tmp_path)
    write_points(root / "points3d.ply", PointCloud(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)))
    np.testing.assert_array_equal(read_scene(root).points.positions, np.eye(3))


@pytest.mark.parametrize(("name", "train", "test"), [("scene1_close_proximity", 108, 21), ("scene4_occlusion", 84, 18)])
def test_moving_objects_with_label_images(name, train, test):
    """Focal lengths differ between frames; the label images in `train/masks` are no masks for training."""
    root = data_path(f"mujoco4d_{name}")
    info = read_scene(root, ReadOptions(eval=True))
    assert (len(info.train), len(info.test), info.num_times) == (train, test, train + test) and info.warnings == ()
    assert sorted({round(camera.fx, 1) for camera in info.train}) == [384.2, 428.9, 482.8]
    assert all(camera.mask_path is None for camera in (*info.train, *info.test))
    assert (root / "train" / "masks" / "r_0000.png").is_file()
    frames = json.loads((root / "transforms_test.json").read_text())["frames"]
    assert [camera.time for camera in info.test] == [frame["time"] for frame in frames]


def test_cameras_of_the_procedural_scene_see_its_tracks(tmp_path):
    """Every 3D track projects to the pixels that the ray tracer stored for it."""
    make(SceneOptions("dynamic", tmp_path / "toys", size=(48, 36), views=6, samples=1))
    info = read_scene(tmp_path / "toys", ReadOptions(eval=True))
    tracks = np.load(tmp_path / "toys" / "tracks_gt.npz")
    assert [camera.time for camera in info.train] == tracks["times"].tolist()
    for camera, points, pixels in zip(info.train, tracks["points"], tracks["pixels"], strict=True):
        local = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        x = camera.fx * local[:, 0] / local[:, 2] + camera.cx
        y = camera.fy * local[:, 1] / local[:, 2] + camera.cy
        np.testing.assert_allclose(np.stack((x, y), axis=1), pixels, atol=1e-3)
    _assert_labels_at_visible_points(tmp_path / "toys", info, tracks)


def _assert_labels_at_visible_points(root, info, tracks):
    """Points that can be seen lie on pixels of their own object, but for the edges."""
    hits = []
    for index, camera in enumerate(info.train):
        labels = np.asarray(Image.open(root / "labels" / f"{camera.image_path.stem}.png"))
        x, y = np.floor(tracks["pixels"][index][tracks["visible"][index]]).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height)
        hits.append(labels[y[inside], x[inside]] == tracks["labels"][tracks["visible"][index]][inside])
    assert np.concatenate(hits).mean() > 0.9
