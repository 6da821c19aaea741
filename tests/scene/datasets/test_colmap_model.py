"""COLMAP's files: binary and text agree, and damage is said in one line."""

from __future__ import annotations

import numpy as np
import pytest

from scene.datasets import colmap_model
from scene.scene_info import DatasetError
from tests.scene.small_scenes import ColmapContent, write_colmap_model

CONTENT = ColmapContent(names=("a b.png", "sub/c.png", "d.png"), num_points=9)


@pytest.fixture(params=["bin", "txt"])
def model(request, tmp_path):
    write_colmap_model(tmp_path, CONTENT, binary=request.param == "bin")
    return tmp_path


def test_cameras(model):
    (camera,) = colmap_model.read_cameras(model).values()
    assert (camera.model, camera.width, camera.height, camera.params) == CONTENT.camera


def test_images_keep_blanks_folders_and_keypoints(model):
    images = colmap_model.read_images(model)
    assert [image.name for image in images] == list(CONTENT.names)
    assert colmap_model.count_images(model) == 3
    assert [len(image.keypoints) for image in images] == [1, 2, 0]
    np.testing.assert_array_equal(images[1].point_ids, [3, -1])
    np.testing.assert_array_equal(images[1].keypoints, [[1.5, 2.5], [4.0, 5.0]])
    quaternion, translation = CONTENT.pose("d.png")
    np.testing.assert_array_equal(images[2].quaternion_wxyz, quaternion)
    np.testing.assert_array_equal(images[2].translation, translation)


def test_points_behind_tracks_of_all_lengths(model):
    points = colmap_model.read_points3d(model)
    positions, colors = CONTENT.points()
    np.testing.assert_array_equal(points.positions, positions)
    np.testing.assert_array_equal(points.colors, colors)
    np.testing.assert_array_equal(points.ids, np.arange(1, 10))


def test_no_points_file(tmp_path):
    assert colmap_model.read_points3d(tmp_path) is None


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_every_truncation_of_a_binary_file_is_one_line(tmp_path, name):
    write_colmap_model(tmp_path, CONTENT, binary=True)
    path = tmp_path / f"{name}.bin"
    whole = path.read_bytes()
    read = {"cameras": colmap_model.read_cameras, "images": colmap_model.read_images}.get(
        name, colmap_model.read_points3d
    )
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match="truncated") as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_absurd_counts_do_not_allocate(tmp_path):
    for name, read in (("images", colmap_model.read_images), ("points3D", colmap_model.read_points3d)):
        (tmp_path / f"{name}.bin").write_bytes(b"\xff" * 64)
        with pytest.raises(DatasetError, match="truncated"):
            read(tmp_path)


def test_truncated_text(tmp_path):
    write_colmap_model(tmp_path, CONTENT, binary=False)
    path = tmp_path / "images.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-2]))
    with pytest.raises(DatasetError, match="announces 3 records but holds 2"):
        colmap_model.read_images(tmp_path)
    path.write_text("\n".join([*lines[:3], lines[3][:30]]))
    with pytest.raises(DatasetError, match="line 4 is not a whole record"):
        colmap_model.read_images(tmp_path)


def test_unknown_camera_model_id(tmp_path):
    write_colmap_model(tmp_path, CONTENT, binary=True)
    data = bytearray((tmp_path / "cameras.bin").read_bytes())
    data[12] = 99
    (tmp_path / "cameras.bin").write_bytes(bytes(data))
    with pytest.raises(DatasetError, match="model id 99"):
        colmap_model.read_cameras(tmp_path)
