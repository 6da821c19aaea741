from __future__ import annotations

import numpy as np

from capture.report import Findings, overlay, plan, write_rig_report
from scene.scene_info import PointCloud
from tests.capture.rigs import ball_views, exact, ring

MIDDLE = np.array([0.0, -0.4, 0.0])


def cloud():
    points = np.array([MIDDLE, [0.6, 0, 0.2]], np.float32)
    return PointCloud(points, np.zeros((2, 3), np.float32), np.array([1, 0], np.float32))


def test_points_are_drawn_where_they_are_seen():
    view = ball_views(ring(), MIDDLE, 0.3)[0]
    drawn = overlay(view, cloud())
    scale = drawn.shape[1] / view.image.shape[1]
    for point, colour in zip(cloud().positions, ((255, 210, 0), (0, 200, 255)), strict=True):
        x, y = (exact(view.camera, point[None].astype(np.float64))[0] * scale).astype(int)
        assert (drawn[y - 5 : y + 6, x - 5 : x + 6] == colour).all(2).any()


def test_the_page_has_all_cameras_and_no_links(tmp_path):
    views = ball_views(ring(), MIDDLE, 0.3)
    rows = [{"camera": view.camera.image_name, "points seen": 5} for view in views]
    write_rig_report(tmp_path / "report.html", Findings(rows, {"floor": "found"}, ["beware"]), views, cloud())
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img") == len(views) + 2 and "beware" in page and "cam_05" in page
    assert "http" not in page
    assert (plan(views, cloud(), (0, 2)) != 250).any()
