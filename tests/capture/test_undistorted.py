"""Pinhole photos, masks in step with them, and smaller copies."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from capture.undistorted import give_colours, make_smaller, make_transparent, undistort_mask
from scene.datasets import read_scene
from scene.datasets.colmap_model import ColmapCamera, read_points3d
from tests.scene.small_scenes import colmap_scene, write_images
from utils.image_io import read_image, write_png

LENS = ColmapCamera("OPENCV", 120, 90, (100.0, 100.0, 60.0, 45.0, -0.2, 0.05, 0.0, 0.0))
PINHOLE = ColmapCamera("PINHOLE", 110, 84, (100.0, 100.0, 55.0, 42.0))


def test_a_mask_moves_like_the_photo():
    """A disc around the middle of a radial lens stays one, wider where the lens had squeezed it."""
    x, y = np.meshgrid(np.arange(120) + 0.5 - 60, np.arange(90) + 0.5 - 45)
    mask = (np.hypot(x, y) < 35).astype(np.uint8)
    moved = undistort_mask(mask, LENS, PINHOLE)
    assert set(np.unique(moved)) == {0, 255} and moved.shape == (84, 110)
    radii = np.linspace(0, 0.6, 6000)
    squeezed = 100 * radii * (1 - 0.2 * radii**2 + 0.05 * radii**4)
    expected = 100 * radii[np.searchsorted(squeezed, 35)]
    assert 35.5 < expected < 38
    assert np.sqrt((moved > 0).sum() / np.pi) == pytest.approx(expected, abs=0.25)


def test_outside_the_photo_is_masked_out():
    wide = ColmapCamera("PINHOLE", 200, 160, (100.0, 100.0, 100.0, 80.0))
    moved = undistort_mask(np.full((90, 120), 255, np.uint8), LENS, wide)
    assert moved[80, 100] == 255 and moved[2, 2] == moved[80, 2] == 0


def test_smaller_copies_keep_names_folders_and_transparency(tmp_path):
    write_images(tmp_path / "images", ["a.jpg", "sub/b.png"], size=(51, 34))
    write_images(tmp_path / "images", ["c.png"], size=(51, 34), mode="RGBA")
    made = make_smaller(tmp_path / "images", tmp_path)
    assert [path.name for path in made] == ["images_2", "images_4", "images_8"]
    sizes = {divisor: (round(51 / divisor), round(34 / divisor)) for divisor in (2, 4, 8)}
    for divisor, size in sizes.items():
        for name, mode in (("a.jpg", "RGB"), ("sub/b.png", "RGB"), ("c.png", "RGBA")):
            with Image.open(tmp_path / f"images_{divisor}" / name) as image:
                assert (image.size, image.mode) == (size, mode)


def test_points_without_colours_are_given_some_once(tmp_path):
    class Painter:
        calls = 0

        def colour(self, photos, model):
            self.calls += 1

    root, tool = colmap_scene(tmp_path), Painter()
    give_colours(tool, root / "images", root / "sparse/0")
    assert tool.calls == 0
    path = root / "sparse/0/points3D.bin"
    data, step = bytearray(path.read_bytes()), 8
    for index in range(len(read_points3d(root / "sparse/0").ids)):
        data[step + 32 : step + 35] = bytes(3)
        step += 51 + 8 * (index % 4)
    path.write_bytes(data)
    give_colours(tool, root / "images", root / "sparse/0")
    assert tool.calls == 1


def test_a_background_becomes_transparent(tmp_path):
    pytest.importorskip("pycolmap")
    from tests.capture.reconstructions import write_reconstruction

    write_reconstruction(tmp_path / "sparse/0", ["a.jpg", "b.jpg"])
    write_images(tmp_path / "images", ["a.jpg", "b.jpg"])
    write_png(tmp_path / "masks/a.png", np.pad(np.full((4, 4), 255, np.uint8), ((6, 6), (10, 10))))
    make_transparent(tmp_path / "images", tmp_path / "masks", tmp_path / "sparse/0")
    info = read_scene(tmp_path)
    assert [camera.image_name for camera in info.train] == ["a.png", "b.jpg"]
    image = read_image(tmp_path / "images/a.png")
    assert image.shape == (16, 24, 4) and image[..., 3].sum() == 16 * 255
    assert not (tmp_path / "images/a.jpg").exists()
