"""4DGaussians' layout of synchronised cameras."""

from __future__ import annotations

import numpy as np
import pytest

from scene.datasets import ReadOptions, read_scene
from scene.datasets.poses import rotation_from_quaternion
from scene.formats.ply import write_points
from scene.scene_info import DatasetError, PointCloud
from tests.scene.small_scenes import ColmapContent, write_colmap_model, write_images

FOLDERS = ("cam01", "cam02", "cam10")


def rig(root, names=("image1.jpg", "image2.jpg", "image3.jpg"), binary=True, folders=FOLDERS, frames=3):
    """Cameras with three frames each and a model whose images have the given names."""
    for folder in folders:
        write_images(root / folder, [f"frame_{index:05d}.jpg" for index in range(1, frames + 1)])
    content = ColmapContent(names=names)
    write_colmap_model(root / "sparse_", content, binary)
    return content


@pytest.mark.parametrize("binary", [True, False])
def test_cameras_frames_and_times(tmp_path, binary):
    content = rig(tmp_path, binary=binary)
    info = read_scene(tmp_path)
    assert (info.reader, info.motion, info.details, info.warnings) == ("multipleview", "per_timestep", "3 cameras", ())
    assert [camera.image_name for camera in info.train[2:4]] == ["cam01/frame_00003.jpg", "cam02/frame_00001.jpg"]
    assert [camera.time for camera in info.train[:3]] == [0, 0.5, 1] and len(info.train) == 9
    assert [camera.camera_id for camera in info.train] == [0] * 3 + [1] * 3 + [2] * 3
    for camera in info.train[6:]:
        quaternion, translation = content.pose("image3.jpg")
        np.testing.assert_allclose(camera.world_to_camera[:3, :3], rotation_from_quaternion(quaternion), atol=1e-9)
        np.testing.assert_allclose(camera.world_to_camera[:3, 3], translation)
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (20, 21, 11, 8.5)
    assert len(info.points) == content.num_points


@pytest.mark.parametrize(
    "names",
    [
        ("cam10.jpg", "cam01.jpg", "cam02.jpg"),
        ("cam10/frame_00001.jpg", "cam02/frame_00001.jpg", "cam01/frame_00001.jpg"),
        ("image3.jpg", "image1.jpg", "image2.jpg"),
        ("r_9.png", "r_0.png", "r_5.png"),
    ],
)
def test_images_find_their_cameras(tmp_path, names):
    content = rig(tmp_path, names)
    info = read_scene(tmp_path)
    ordered = sorted(names, key=lambda name: (len(name), name))
    for index, name in enumerate(ordered):
        np.testing.assert_allclose(info.train[3 * index].world_to_camera[:3, 3], content.pose(name)[1])


def test_a_camera_that_colmap_lost_is_left_out(tmp_path):
    content = rig(tmp_path, ("image1.jpg", "image3.jpg"))
    info = read_scene(tmp_path)
    assert {camera.image_name.split("/")[0] for camera in info.train} == {"cam01", "cam10"}
    assert {camera.camera_id for camera in info.train} == {0, 2}
    np.testing.assert_allclose(info.train[3].world_to_camera[:3, 3], content.pose("image3.jpg")[1])
    assert "has no pose for cam02" in info.warnings[0]


def test_images_that_fit_no_camera_are_an_error(tmp_path):
    rig(tmp_path, ("front.jpg", "back.jpg"))
    with pytest.raises(DatasetError, match=r"2 images \(front, back\) for 3 folders of frames \(cam01, cam02, cam10\)"):
        read_scene(tmp_path)


def test_every_nth_camera_is_held_out(tmp_path):
    rig(tmp_path)
    info = read_scene(tmp_path, ReadOptions(eval=True))
    assert {camera.camera_id for camera in info.test} == {0} and len(info.test) == 3 and len(info.train) == 6
    info = read_scene(tmp_path, ReadOptions(eval=True, llffhold=2, test_offset=1, num_frames=2))
    assert {camera.camera_id for camera in info.test} == {1} and len(info.train) == 4
    with pytest.raises(DatasetError, match="llffhold is 0"):
        read_scene(tmp_path, ReadOptions(eval=True, llffhold=0))


def test_the_dense_cloud_wins(tmp_path):
    rig(tmp_path)
    points = np.eye(3, dtype=np.float32)
    write_points(tmp_path / "points3D_multipleview.ply", PointCloud(points, points))
    np.testing.assert_allclose(read_scene(tmp_path).points.positions, points)


def test_frames_of_another_size_and_shorter_cameras(tmp_path):
    rig(tmp_path)
    (tmp_path / "cam02/frame_00003.jpg").unlink()
    info = read_scene(tmp_path)
    assert [camera.time for camera in info.train if camera.camera_id == 1] == [0, 0.5]
    assert "cameras have 3 frames, but cam02 fewer" in info.warnings[0]
    write_images(tmp_path / "cam10", ["frame_00002.jpg"], size=(30, 20))
    with pytest.raises(DatasetError, match="frame_00002.jpg: is 30x20; expected 24x16 as frame_00001.jpg"):
        read_scene(tmp_path)
