"""The page that shows whether a converted rig is right: checks in numbers, points and masks drawn into pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from capture.cloud import StageView, project
from capture.plans import MARGIN, Plan, draw_plan
from scene.scene_info import PointCloud
from utils.report import Section, write_report

DRAWN_POINTS = 2500
OVERLAY_WIDTH_PX = 360
MASK_TINT, FOREGROUND_DOT, BACKGROUND_DOT = (255, 60, 60), (255, 210, 0), (0, 200, 255)


@dataclass
class Findings:
    """What the steps found out, collected on the way."""

    rows: list[dict] = field(default_factory=list)  # one for each camera
    facts: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def write_rig_report(path: Path, findings: Findings, views: Sequence[StageView], cloud: PointCloud) -> None:
    """One self-contained HTML file."""
    names = [row["camera"] for row in findings.rows]
    overlays = [(name, overlay(view, cloud)) for name, view in zip(names, views, strict=True)]
    facts = [{"what": key, "found": value} for key, value in findings.facts.items()]
    warned = "\n".join(findings.warnings) or "none"
    legend = "Red: what moves. Yellow points: foreground, blue: background. Both must lie on the things they belong to."
    plans = [("from above", plan(views, cloud, (0, 2))), ("from the side", plan(views, cloud, (0, 1)))]
    write_report(
        path,
        "Rig",
        [
            Section("What was found", table=facts),
            Section("Warnings", warned),
            Section("Cameras", table=findings.rows),
            Section("Where the cameras stand", "Triangles open in the viewing direction.", images=plans),
            Section("First moment", legend, images=overlays),
        ],
    )


def overlay(view: StageView, cloud: PointCloud) -> np.ndarray:
    """The picture with its mask tinted and the cloud's points drawn, uint8 [h, w, 3]."""
    image = view.image.copy()
    if view.mask is not None:
        image[view.mask] = (0.6 * image[view.mask] + 0.4 * np.array(MASK_TINT)).astype(np.uint8)
    scale = OVERLAY_WIDTH_PX / image.shape[1]
    image = cv2.resize(image, (OVERLAY_WIDTH_PX, max(1, round(image.shape[0] * scale))), interpolation=cv2.INTER_AREA)
    chosen = np.linspace(0, len(cloud) - 1, min(DRAWN_POINTS, len(cloud))).round().astype(int)
    pixels, _, inside = project(view.camera, cloud.positions[chosen].astype(np.float64))
    for (x, y), share in zip(pixels[inside], cloud.foreground[chosen][inside], strict=True):
        colour = FOREGROUND_DOT if share > 0.5 and view.mask is not None else BACKGROUND_DOT
        cv2.circle(image, (int(x * scale), int(y * scale)), 1, colour, -1)
    return image


def plan(views: Sequence[StageView], cloud: PointCloud, axes: tuple[int, int]) -> np.ndarray:
    """Cameras and points seen along one axis of the world, uint8 [s, s, 3]; world y points down the picture."""
    cameras = [view.camera for view in views]
    centers = np.stack([camera.center for camera in cameras])
    middle = (centers.max(0) + centers.min(0)) / 2
    reach = MARGIN * max(float(np.abs(centers - middle).max()), 1e-9)
    return draw_plan(Plan(middle, np.eye(3)[list(axes)], reach), cameras, cloud)
