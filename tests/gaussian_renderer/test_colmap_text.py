"""COLMAP text models: our reader and COLMAP itself read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gaussian_renderer.colmap_text import lens_of, write_colmap_text
from scene.cameras import Camera
from scene.datasets import read_scene
from scene.datasets.colmap_model import read_cameras, read_images, read_points3d
from scene.scene_info import PointCloud
from tests.blobs import ring_cameras
from tests.scene.small_scenes import transforms_scene
from utils.errors import UserError

POINTS = PointCloud(np.array([[1, 2, 3], [0.1, -2, 1e-9]], np.float32), np.array([[1, 0, 0.2], [0, 1, 1]], np.float32))


def test_our_reader_reads_it(tmp_path):
    cameras = [replace(ring_cameras(2)[0], image_name="a b.png"), replace(ring_cameras(2)[1], fx=70.0, cx=3.25)]
    write_colmap_text(tmp_path, cameras, POINTS)
    lenses, images, points = read_cameras(tmp_path), read_images(tmp_path), read_points3d(tmp_path)
    assert [image.name for image in images] == ["a b.png", "001.png"] and len(lenses) == 2
    for image, camera in zip(images, cameras, strict=True):
        lens = lenses[image.camera_id]
        assert (lens.model, lens.params) == ("PINHOLE", (camera.fx, camera.fy, camera.cx, camera.cy))
        np.testing.assert_allclose(image.translation, camera.world_to_camera[:3, 3].numpy())
    np.testing.assert_array_equal(points.positions.astype(np.float32), POINTS.positions)
    np.testing.assert_array_equal(points.colors, [[255, 0, 51], [0, 255, 255]])


LENSES = {
    "OPENCV": {"k1": 0.1, "p2": 0.01},
    "FULL_OPENCV": {"k6": 0.1},
    "OPENCV_FISHEYE": {"k1": 0.1, "k4": 0.2, "camera_model": "OPENCV_FISHEYE"},
}


@pytest.mark.parametrize(("model", "values"), LENSES.items())
def test_colmap_reads_it_with_the_lens(tmp_path, model, values):
    pycolmap = pytest.importorskip("pycolmap")
    info = read_scene(transforms_scene(tmp_path / "data", 3, **values))
    cameras = [Camera.from_info(camera, resolution=1) for camera in info.train]
    write_colmap_text(tmp_path / "model", cameras, POINTS)
    read = pycolmap.Reconstruction(tmp_path / "model")
    assert len(read.images) == 3 and len(read.points3D) == 2 and len(read.cameras) == 1
    (lens,) = read.cameras.values()
    assert lens.model.name == model == lens_of(cameras[0])[0]
    np.testing.assert_array_equal(lens.params, lens_of(cameras[0])[3])
    image = next(image for image in read.images.values() if image.name == cameras[1].image_name)
    np.testing.assert_allclose(image.projection_center(), cameras[1].info.center, atol=1e-9)


def test_names_that_would_break_the_file(tmp_path):
    with pytest.raises(UserError, match="has a line break"):
        write_colmap_text(tmp_path, [replace(ring_cameras(1)[0], image_name="a\nb.png")], None)
