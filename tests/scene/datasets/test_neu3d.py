"""Neural 3D Video."""

from __future__ import annotations

import numpy as np
import pytest

from scene.datasets import ReadOptions, read_scene
from scene.formats.ply import write_points
from scene.scene_info import DatasetError, PointCloud
from tests.scene.small_scenes import HEIGHT, WIDTH, write_images

CAMERAS = ("cam00", "cam02", "cam10")


def look(seed):
    """A random camera-to-world [3, 4] in OpenCV axes."""
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    return np.column_stack((rotation, random.normal(size=3)))


def llff_row(camera_to_world, focal=40.0):
    """The row of `poses_bounds.npy`: columns down, right, backwards, position, (height, width, focal), near, far."""
    right, down, forward, position = camera_to_world.T
    matrix = np.stack((down, right, -forward, position, (2 * HEIGHT, 2 * WIDTH, focal)), axis=1)
    return np.concatenate((matrix.ravel(), (0.5, 9.0)))


def neu3d_scene(root, frames=5, folder="frames/{}"):
    """Three cameras whose pictures are half as large as `poses_bounds.npy` says."""
    root.mkdir(parents=True, exist_ok=True)
    np.save(root / "poses_bounds.npy", np.stack([llff_row(look(index)) for index in range(len(CAMERAS))]))
    for name in CAMERAS:
        write_images(root / folder.format(name), [f"{index}.png" for index in range(frames)])
    return root


@pytest.mark.parametrize("folder", ["frames/{}", "{}", "{}/images"])
def test_cameras_frames_and_times(tmp_path, folder):
    root = neu3d_scene(tmp_path, frames=11, folder=folder)
    info = read_scene(root, ReadOptions(eval=True))
    assert info.reader == "neu3d" and info.details == "3 cameras" and info.num_times == 11
    assert [camera.image_name for camera in info.test] == [f"cam00/{index}.png" for index in range(11)]
    assert [camera.time for camera in info.test] == [index / 10 for index in range(11)]
    assert [camera.image_name.split("/")[0] for camera in info.train] == ["cam02"] * 11 + ["cam10"] * 11
    camera = info.train[0]
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (20.0, 20.0, WIDTH / 2, HEIGHT / 2)
    assert {(c.image_name.split("/")[0], c.camera_id) for c in (*info.train, *info.test)} == {
        ("cam00", 0),
        ("cam02", 1),
        ("cam10", 2),
    }
    assert info.motion == ""
    joined = read_scene(root)
    assert len(joined.train) == 33 and joined.test == ()


def test_axes_are_turned_to_opencv(tmp_path):
    info = read_scene(neu3d_scene(tmp_path), ReadOptions(eval=True))
    point = np.array([0.3, -0.2, 2.0])  # in front of the camera, right of and above its axis
    for seed, cameras in enumerate((info.test, info.train[:5], info.train[5:])):
        for camera in cameras:
            world = look(seed) @ [*point, 1]
            np.testing.assert_allclose(camera.world_to_camera @ [*world, 1], [*point, 1], atol=1e-9)


def test_first_frames_only(tmp_path):
    root = neu3d_scene(tmp_path)
    info = read_scene(root, ReadOptions(num_frames=3))
    assert len(info.train) == 9 and sorted({camera.time for camera in info.train}) == [0, 0.5, 1]
    assert len(read_scene(root, ReadOptions(num_frames=99)).train) == 15
    assert not read_scene(root, ReadOptions(num_frames=1)).is_dynamic
    with pytest.raises(DatasetError, match="num_frames is -1"):
        read_scene(root, ReadOptions(num_frames=-1))


def test_points_or_a_warning(tmp_path):
    root = neu3d_scene(tmp_path)
    info = read_scene(root)
    assert info.points is None and "has no points3D.ply; starting at random" in info.warnings[0]
    write_points(root / "points3D.ply", PointCloud(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)))
    info = read_scene(root)
    assert len(info.points) == 3 and info.warnings == ()


def test_a_shorter_camera_keeps_its_times(tmp_path):
    root = neu3d_scene(tmp_path)
    (root / "frames" / "cam02" / "4.png").unlink()
    info = read_scene(root)
    times = [camera.time for camera in info.train if camera.image_name.startswith("cam02")]
    assert times == [0, 0.25, 0.5, 0.75]
    assert "cameras have 5 frames, but cam02 fewer (1 with 4)" in info.warnings[0]


def test_videos_are_to_be_taken_apart(tmp_path):
    np.save(tmp_path / "poses_bounds.npy", np.stack([llff_row(look(0))]))
    with pytest.raises(DatasetError, match="no folder of frames"):
        read_scene(tmp_path)
    (tmp_path / "cam00.mp4").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"holds videos \(cam00.mp4\).*ffmpeg -i cam00.mp4 frames/cam00/"):
        read_scene(tmp_path)


def change(row, column, value):
    rows = np.stack([llff_row(look(index)) for index in range(3)])
    rows[row, column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((3, 15)), r"has shape \[3, 15\]; expected nx17"),
        (change(0, 0, np.nan), "holds NaN"),
        (change(1, 1, 5.0), r"\(cam02\): the pose is not rigid"),
        (change(2, 14, -1.0), r"\(cam10\): size 48x32, focal length -1"),
        (change(0, 0, 0.0)[:2], "has 2 cameras, but there are 3 folders of frames"),
        (np.array([{}], dtype=object), "plain numbers"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, rows, message):
    root = neu3d_scene(tmp_path)
    np.save(root / "poses_bounds.npy", rows, allow_pickle=True)
    with pytest.raises(DatasetError, match=message) as caught:
        read_scene(root)
    assert "\n" not in str(caught.value)


def test_a_camera_without_pictures(tmp_path):
    root = neu3d_scene(tmp_path)
    for path in (root / "frames" / "cam10").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="no pictures in cam10"):
        read_scene(root)
