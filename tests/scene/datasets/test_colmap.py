"""COLMAP data sets: cameras, points, splits, and what is refused."""

from __future__ import annotations

import os
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from scene.datasets import ReadOptions, read_scene
from scene.datasets.colmap_model import read_images, read_points3d
from scene.formats.ply import write_points
from scene.scene_info import DatasetError, PointCloud
from tests.helpers import data_path
from tests.scene.small_scenes import (
    HEIGHT,
    WIDTH,
    ColmapContent,
    colmap_scene,
    write_colmap_model,
    write_images,
    write_json,
)


def test_binary_and_text_give_the_same_scene(tmp_path):
    binary = read_scene(colmap_scene(tmp_path / "bin"))
    text = read_scene(colmap_scene(tmp_path / "txt", binary=False))
    assert binary.reader == text.reader == "colmap"
    for one, other in zip(binary.train, text.train, strict=True):
        assert one.image_name == other.image_name
        np.testing.assert_array_equal(one.world_to_camera, other.world_to_camera)
    np.testing.assert_array_equal(binary.points.positions, text.points.positions)
    np.testing.assert_array_equal(binary.points.colors, text.points.colors)


def test_pose_is_the_rotation_of_the_quaternion(tmp_path):
    half = np.sqrt(0.5)
    content = ColmapContent(names=("a.png",), quaternions={"a.png": (2 * half, 0, 0, 2 * half)})
    camera = read_scene(colmap_scene(tmp_path, content)).train[0]
    np.testing.assert_allclose(camera.world_to_camera[:3, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(camera.world_to_camera @ [*camera.center, 1], [0, 0, 0, 1], atol=1e-12)


def test_nothing_is_written_into_the_data_set(tmp_path):
    root = colmap_scene(tmp_path)
    before = sorted(path for path in root.rglob("*"))
    read_scene(root, ReadOptions(eval=True))
    assert sorted(path for path in root.rglob("*")) == before


def test_names_with_blanks_and_folders_and_masks(tmp_path):
    content = ColmapContent(names=("left cam/a b.png", "left cam/c.png", "right/a b.png"))
    root = colmap_scene(tmp_path, content)
    write_images(root / "masks", ["left cam/a b.png", "right/a b.png.png"])
    cameras = {camera.image_name: camera for camera in read_scene(root).train}
    assert list(cameras) == sorted(content.names)
    assert cameras["left cam/a b.png"].mask_path == root / "masks" / "left cam" / "a b.png"
    assert cameras["right/a b.png"].mask_path == root / "masks" / "right" / "a b.png.png"
    assert cameras["left cam/c.png"].mask_path is None


def test_model_directly_in_sparse(tmp_path):
    write_images(tmp_path / "images", ColmapContent().names)
    write_colmap_model(tmp_path / "sparse", ColmapContent(), binary=True)
    assert len(read_scene(tmp_path).train) == 10


@pytest.mark.parametrize("binary", [True, False])
def test_largest_of_several_models(tmp_path, binary):
    root = colmap_scene(tmp_path, binary=binary)
    write_colmap_model(root / "sparse" / "0", ColmapContent(names=("000.png",)), binary)
    write_colmap_model(root / "sparse" / "1", ColmapContent(), binary)
    info = read_scene(root)
    assert len(info.train) == 10
    assert len(info.warnings) == 1 and "sparse/1 (10 images)" in info.warnings[0]


def test_intrinsics_follow_the_size_of_the_files(tmp_path):
    root = colmap_scene(tmp_path)
    write_images(root / "images_2", ColmapContent().names, size=(WIDTH // 2, HEIGHT // 2))
    camera = read_scene(root, ReadOptions(images="images_2")).train[0]
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (10.0, 10.5, 5.5, 4.25)
    assert (camera.width, camera.height) == (WIDTH // 2, HEIGHT // 2)


def test_files_of_another_shape_are_noted(tmp_path):
    root = colmap_scene(tmp_path)
    write_images(root / "turned", ColmapContent().names, size=(HEIGHT, WIDTH))
    assert "aspect ratio" in read_scene(root, ReadOptions(images="turned")).warnings[0]


@pytest.mark.parametrize(
    ("model", "params", "expected", "fisheye"),
    [
        ("SIMPLE_PINHOLE", (20.0, 11.0, 8.5), (), False),
        ("SIMPLE_RADIAL", (20.0, 11.0, 8.5, 0.0), (), False),
        ("SIMPLE_RADIAL", (20.0, 11.0, 8.5, 0.1), (0.1, 0.0, 0.0, 0.0), False),
        ("RADIAL", (20.0, 11.0, 8.5, 0.1, 0.2), (0.1, 0.2, 0.0, 0.0), False),
        ("OPENCV", (20.0, 20.0, 11.0, 8.5, 0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4), False),
        ("FULL_OPENCV", (20.0, 20.0, 11.0, 8.5, *(0.1,) * 8), (0.1,) * 8, False),
        ("OPENCV_FISHEYE", (20.0, 20.0, 11.0, 8.5, 0.0, 0.0, 0.0, 0.0), (0.0,) * 4, True),
    ],
)
def test_camera_models(tmp_path, model, params, expected, fisheye):
    content = replace(ColmapContent(), camera=(model, WIDTH, HEIGHT, params))
    camera = read_scene(colmap_scene(tmp_path, content)).train[0]
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (20.0, 20.0, 11.0, 8.5)
    assert (camera.distortion, camera.fisheye) == (expected, fisheye)


def test_other_camera_models_name_the_command_that_converts(tmp_path):
    content = replace(ColmapContent(), camera=("FOV", WIDTH, HEIGHT, (20.0, 20.0, 11.0, 8.5, 0.9)))
    with pytest.raises(DatasetError, match=r"FOV .* convert.py --skip_matching"):
        read_scene(colmap_scene(tmp_path, content))


@pytest.mark.parametrize("params", [(0.0, 21.0, 11.0, 8.5), (float("nan"), 21.0, 11.0, 8.5)])
def test_bad_intrinsics(tmp_path, params):
    content = replace(ColmapContent(), camera=("PINHOLE", WIDTH, HEIGHT, params))
    with pytest.raises(DatasetError, match="positive finite"):
        read_scene(colmap_scene(tmp_path, content))


def test_missing_images_are_counted_and_named(tmp_path):
    root = colmap_scene(tmp_path)
    for index in (1, 4, 5, 6, 7, 8):
        os.remove(root / "images" / f"{index:03d}.png")
    with pytest.raises(DatasetError, match=r"6 of 10 images .* \(001.png, 004.png, 005.png, 006.png and 2 more\)"):
        read_scene(root)
    with pytest.raises(DatasetError, match="images_8: no such folder"):
        read_scene(root, ReadOptions(images="images_8"))


def test_nan_pose_names_the_image(tmp_path):
    content = replace(ColmapContent(), quaternions={"004.png": (np.nan, 0, 0, 1)})
    with pytest.raises(DatasetError, match=r"004.png: the pose holds NaN"):
        read_scene(colmap_scene(tmp_path, content))
    content = replace(ColmapContent(), quaternions={"004.png": (0, 0, 0, 0)})
    with pytest.raises(DatasetError, match=r"004.png: the pose holds NaN"):
        read_scene(colmap_scene(tmp_path, content))


def test_no_cameras(tmp_path):
    with pytest.raises(DatasetError, match="has no images"):
        read_scene(colmap_scene(tmp_path, ColmapContent(names=())))


def test_single_image_leaves_nothing_to_train(tmp_path):
    with pytest.raises(DatasetError, match="no training cameras"):
        read_scene(colmap_scene(tmp_path, ColmapContent(names=("a.png",))), ReadOptions(eval=True))


def test_unreadable_image_header(tmp_path):
    root = colmap_scene(tmp_path)
    (root / "images" / "003.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"003.png: not a readable image"):
        read_scene(root)


def test_points_from_ply_when_there_is_no_other(tmp_path):
    root = colmap_scene(tmp_path)
    os.remove(root / "sparse" / "0" / "points3D.bin")
    info = read_scene(root)
    assert info.points is None and "starting at random" in info.warnings[0]
    cloud = PointCloud(np.arange(6, dtype=np.float32).reshape(2, 3), np.full((2, 3), 0.2, np.float32))
    write_points(root / "sparse" / "0" / "points3D.ply", cloud)
    points = read_scene(root).points
    np.testing.assert_array_equal(points.positions, cloud.positions)
    np.testing.assert_allclose(points.colors, cloud.colors, atol=1e-6)


def test_folder_with_photos_only_names_the_command_that_finds_poses(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="convert.py -s"):
        read_scene(tmp_path)


def _reprojection_errors_px(info, model, straighten=lambda keypoints: keypoints):
    """Distance of every observed (and straightened) keypoint from its projected point, px."""
    points = read_points3d(model)
    row_of = {int(point_id): row for row, point_id in enumerate(points.ids)}
    cameras = {camera.image_name: camera for camera in info.train}
    errors = []
    for image in read_images(model):
        camera, seen = cameras[image.name], image.point_ids >= 0
        world = points.positions[[row_of[int(point_id)] for point_id in image.point_ids[seen]]]
        local = world @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        assert (local[:, 2] > 0).all()
        x = camera.fx * local[:, 0] / local[:, 2] + camera.cx
        y = camera.fy * local[:, 1] / local[:, 2] + camera.cy
        errors.append(np.linalg.norm(np.stack((x, y), axis=1) - straighten(image.keypoints[seen]), axis=1))
    return np.concatenate(errors)


def test_fox_points_fall_on_their_keypoints():
    root = data_path("colmap_fox")
    info = read_scene(root)
    assert (len(info.train), len(info.points)) == (50, 10453)
    errors = _reprojection_errors_px(info, root / "sparse" / "0")
    assert 0.5 < errors.mean() < 0.8


def test_distorted_fox_points_fall_on_their_straightened_keypoints(tmp_path):
    """The text model before undistortion (OPENCV) with its own photos: our coefficients, OpenCV's own inverse."""
    (tmp_path / "images").symlink_to(data_path("fox_ngp") / "images")
    (tmp_path / "sparse").symlink_to(data_path("colmap_fox") / "distorted" / "sparse")
    info = read_scene(tmp_path)
    lens = info.train[0]
    assert len(info.train) == 50 and len(lens.distortion) == 4 and not lens.fisheye
    matrix = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])

    def straighten(keypoints):
        return cv2.undistortPoints(keypoints[:, None].copy(), matrix, np.array(lens.distortion), P=matrix)[:, 0]

    errors = _reprojection_errors_px(info, tmp_path / "sparse" / "0", straighten)
    assert 0.5 < errors.mean() < 0.8


def test_fox_split():
    info = read_scene(data_path("colmap_fox"), ReadOptions(eval=True))
    names = sorted(camera.image_name for camera in (*info.train, *info.test))
    assert [camera.image_name for camera in info.test] == names[::8]
    assert info.test[0].distortion == ()


def test_moments_from_times_json(tmp_path):
    root = colmap_scene(tmp_path)
    assert not read_scene(root).is_dynamic
    times = {name: 30 * index for index, name in enumerate(ColmapContent().names)}
    write_json(root / "times.json", {**times, "lost.png": 300})
    info = read_scene(root, ReadOptions(eval=True))
    assert info.details == "times from times.json" and info.num_times == 10
    assert [camera.image_name for camera in info.test] == ["000.png", "008.png"]
    assert [camera.time for camera in info.test] == [0.0, 8 / 9]
    assert len(info.warnings) == 1 and "ignored 1 times of other images (lost.png)" in info.warnings[0]


def test_moments_from_names_only_when_asked(tmp_path):
    content = ColmapContent(names=("0.png", "3.png", "10.png"))
    root = colmap_scene(tmp_path / "integers", content)
    info = read_scene(root, ReadOptions(times_from_names=True))
    assert {camera.image_name: camera.time for camera in info.train} == {"0.png": 0.0, "3.png": 0.3, "10.png": 1.0}
    content = ColmapContent(names=("a.png", "b.png", "frame.png"))
    info = read_scene(colmap_scene(tmp_path / "words", content), ReadOptions(times_from_names=True))
    assert [camera.time for camera in info.train] == [0.0, 0.5, 1.0]
    assert info.details == "times from the image names" and info.warnings == ()


def test_times_that_miss_an_image(tmp_path):
    root = colmap_scene(tmp_path)
    write_json(root / "times.json", {name: 0.5 for name in ColmapContent().names[1:]})
    with pytest.raises(DatasetError, match=r"1 of 10 pictures have no time \(000.png\)"):
        read_scene(root)
