from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from capture.undistort import pinhole_camera, pinhole_picture, with_size_of
from tests.capture.rigs import exact, ring


@pytest.mark.parametrize("size", [(48, 32), (96, 64), (60, 60), (64, 20)])
def test_a_mark_stays_where_the_new_camera_sees_it(size):
    lens = (-0.1, 0.02, 0.001, -0.001)
    camera = replace(ring(1)[0], width=384, height=256, fx=320.0, fy=310.0, cx=190.0, cy=131.0, distortion=lens)
    point = np.array([[0.05, -0.3, 0.1]])
    pinhole = replace(camera, distortion=())
    flat = (exact(pinhole, point) - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    matrix = np.array([[camera.fx, 0, camera.cx - 0.5], [0, camera.fy, camera.cy - 0.5], [0, 0, 1]])
    seen = cv2.projectPoints(np.append(flat[0], 1)[None], np.zeros(3), np.zeros(3), matrix, np.array(lens))[0][0, 0]
    image = np.zeros((256, 384, 3), np.uint8)
    cv2.circle(image, tuple(np.round(seen * 16).astype(int).tolist()), 16 * 8, (255, 255, 255), -1, cv2.LINE_AA, 4)
    small = pinhole_picture(image, camera, size)[..., 0].astype(np.float64)
    assert small.shape == size[::-1]
    rows, columns = np.indices(small.shape) + 0.5
    middle = np.array([(columns * small).sum(), (rows * small).sum()]) / small.sum()
    np.testing.assert_allclose(middle, exact(pinhole_camera(camera, size), point)[0], atol=0.15)


def test_a_third_of_the_size_has_a_third_of_the_numbers():
    camera = replace(ring(1)[0], width=1920, height=1080, cx=960.5, cy=540.5)
    third = pinhole_camera(camera, (640, 360))
    assert (third.cx, third.cy, third.fx) == pytest.approx((960.5 / 3, 540.5 / 3, camera.fx / 3))
    assert with_size_of(camera, (640, 360)).cx == pytest.approx(third.cx)
