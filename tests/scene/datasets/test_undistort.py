"""Lens distortion removed on load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scene.datasets.undistort import undistort
from scene.scene_info import CameraInfo

WIDTH, HEIGHT = 80, 60


def lens(distortion, fisheye=False, center=(40.0, 30.0)):
    """A camera with the given coefficients."""
    return CameraInfo(
        "a", Path("a"), np.eye(4), 60.0, 62.0, *center, WIDTH, HEIGHT, distortion=distortion, fisheye=fisheye
    )


def smooth_picture(x, y):
    """A smooth function of pixel coordinates (centres at +0.5), 0..255."""
    return 127 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7)


def brown_conrady(x, y, k1, k2, p1, p2):
    """Distorted normalised coordinates (OpenCV's model)."""
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    return x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y


def fisheye_model(x, y, k1, k2, k3, k4):
    """Distorted normalised coordinates (equidistant fisheye)."""
    radius = np.hypot(x, y)
    theta = np.arctan(radius)
    distorted = theta * (1 + k1 * theta**2 + k2 * theta**4 + k3 * theta**6 + k4 * theta**8)
    scale = np.divide(distorted, radius, out=np.ones_like(radius), where=radius > 0)
    return x * scale, y * scale


@pytest.mark.parametrize(
    ("distortion", "fisheye", "model"),
    [((-0.2, 0.05, 0.01, -0.02), False, brown_conrady), ((0.1, -0.02, 0.01, 0.0), True, fisheye_model)],
)
def test_pixels_come_from_where_the_model_says(distortion, fisheye, model):
    info = lens(distortion, fisheye, center=(37.3, 33.1))
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    picture = np.rint(smooth_picture(x, y)).astype(np.uint8)[:, :, None]
    straight, valid = undistort(picture, info)
    source_x, source_y = model((x - info.cx) / info.fx, (y - info.cy) / info.fy, *distortion)
    source_x, source_y = source_x * info.fx + info.cx, source_y * info.fy + info.cy
    inside = (source_x > 1) & (source_x < WIDTH - 1) & (source_y > 1) & (source_y < HEIGHT - 1)
    assert inside.mean() > 0.5 and valid[inside].all()
    difference = np.abs(straight[:, :, 0].astype(float) - smooth_picture(source_x, source_y))
    assert difference[inside].max() < 2.5


def test_pixels_outside_the_photograph_are_not_valid():
    _, valid = undistort(np.zeros((HEIGHT, WIDTH, 3), np.uint8), lens((0.6, 0.0, 0.0, 0.0)))
    assert not valid[0, 0] and not valid[-1, -1] and valid[HEIGHT // 2, WIDTH // 2]


def test_no_distortion_changes_nothing():
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    straight, valid = undistort(picture, lens((0.0, 0.0, 0.0, 0.0)))
    np.testing.assert_array_equal(straight, picture)
    assert valid.all()
