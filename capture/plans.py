"""Cameras and points drawn from above and from the side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from scene.scene_info import CameraInfo, PointCloud, ball_of

SIDE_PX = 560
BACKDROP, INK = 250, (60, 60, 60)
TRAIN, TEST, FIRST = (30, 80, 200), (230, 120, 0), (200, 30, 30)
MARGIN = 1.25  # of the picture around the outermost camera
FRUSTUM_SHARE = 0.12  # depth of a drawn camera, of the half picture
DRAWN_POINTS = 200_000
LARGE_DOTS = 20_000  # points below which each is 2 x 2 px
LABELLED = 60  # cameras up to which all have a number
FAR_POINTS = 3.0  # times the cameras' reach up to which the points widen the picture


@dataclass(frozen=True, eq=False)
class Plan:
    """A parallel view of the world."""

    middle: np.ndarray  # [3] world point in the middle of the picture
    axes: np.ndarray  # [2, 3] unit vectors that point right and down in the picture
    reach: float
    """Half side of the picture, in world units."""

    def place(self, points: np.ndarray) -> np.ndarray:
        """Pixels [..., 2] of world points [..., 3]."""
        return ((points - self.middle) @ self.axes.T / self.reach + 1) / 2 * SIDE_PX


def world_plans(cameras: Sequence[CameraInfo], cloud: PointCloud | None) -> dict[str, Plan]:
    """A plan from above and one from the side, for a world that may lie in any direction.

    Up is where the tops of the pictures point to on average; the cameras spread most from left to right.
    """
    centers = np.stack([camera.center for camera in cameras])
    down = np.mean([camera.world_to_camera[1, :3] for camera in cameras], axis=0)
    if np.linalg.norm(down) < 1e-6:
        down = cameras[0].world_to_camera[1, :3]
    down = down / np.linalg.norm(down)
    flat = centers - centers.mean(0)
    flat = flat - np.outer(flat @ down, down)
    right = np.linalg.svd(np.concatenate([flat, 1e-9 * _any_across(down)[None]]))[2][0]
    right = right - (right @ down) * down
    right = right / np.linalg.norm(right)
    middle, reach = _window(centers, cloud)
    return {
        "top": Plan(middle, np.stack([right, np.cross(down, right)]), reach),
        "side": Plan(middle, np.stack([right, down]), reach),
    }


def _any_across(direction: np.ndarray) -> np.ndarray:
    """Some unit vector at a right angle to a direction."""
    across = np.cross(direction, np.eye(3)[np.argmin(np.abs(direction))])
    return across / np.linalg.norm(across)


def _window(centers: np.ndarray, cloud: PointCloud | None) -> tuple[np.ndarray, float]:
    """Middle and half side that show all cameras, and most points if they are not very far."""
    low, high = centers.min(0), centers.max(0)
    spread = float(np.linalg.norm(high - low)) / 2
    if cloud is not None and len(cloud):
        middle, radius = ball_of(cloud.positions.astype(np.float64))
        distance = float(np.linalg.norm(middle - (low + high) / 2))
        radius = min(radius, FAR_POINTS * max(spread, distance, 1e-9))
        low, high = np.minimum(low, middle - radius), np.maximum(high, middle + radius)
    middle = (low + high) / 2
    return middle, MARGIN * max(float((high - low).max()) / 2, 1e-9)


def draw_plan(
    plan: Plan, cameras: Sequence[CameraInfo], cloud: PointCloud | None, test: Sequence[CameraInfo] = ()
) -> np.ndarray:
    """The picture of a plan, uint8 [s, s, 3]: points in their colours, cameras as triangles that open where they look.

    Args:
        plan: what is seen from where.
        cameras: numbered by their `camera_id`, else by their place; the first is red.
        cloud: the points, if any.
        test: cameras held out, drawn in orange.
    """
    pixels = np.full((SIDE_PX, SIDE_PX, 3), BACKDROP, np.uint8)
    if cloud is not None and len(cloud):
        _draw_points(pixels, plan, cloud)
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for number, camera in enumerate((*cameras, *test)):
        colour = TEST if number >= len(cameras) else FIRST if number == 0 else TRAIN
        is_labelled = number == 0 or len(cameras) + len(test) <= LABELLED
        label = str(camera.camera_id if camera.camera_id >= 0 else number) if is_labelled else ""
        _draw_camera(draw, plan, camera, colour, label)
    _draw_scale(draw, plan)
    return np.asarray(image)


def _draw_points(pixels: np.ndarray, plan: Plan, cloud: PointCloud) -> None:
    chosen = np.unique(np.linspace(0, len(cloud) - 1, min(DRAWN_POINTS, len(cloud))).round().astype(int))
    at = np.floor(plan.place(cloud.positions[chosen].astype(np.float64)))
    inside = ((at >= 0) & (at < SIDE_PX - 1)).all(1)
    columns, rows = at[inside].astype(int).T
    colours = (cloud.colors[chosen][inside].clip(0, 1) * 255).astype(np.uint8)
    offsets = ((0, 0), (0, 1), (1, 0), (1, 1)) if len(chosen) < LARGE_DOTS else ((0, 0),)
    for down, right in offsets:
        pixels[rows + down, columns + right] = colours


def _draw_camera(draw: ImageDraw.ImageDraw, plan: Plan, camera: CameraInfo, colour, label: str) -> None:
    corners = np.array(
        [[x, y] for x, y in ((0, 0), (camera.width, 0), (camera.width, camera.height), (0, camera.height))]
    )
    rays = np.concatenate([(corners - (camera.cx, camera.cy)) / (camera.fx, camera.fy), np.ones((4, 1))], axis=1)
    ends = camera.center + FRUSTUM_SHARE * plan.reach * rays @ camera.world_to_camera[:3, :3]
    tip, base = tuple(plan.place(camera.center)), [tuple(end) for end in plan.place(ends)]
    for index in range(4):
        draw.line([tip, base[index]], fill=colour)
        draw.line([base[index], base[index - 1]], fill=colour)
    if label:
        draw.text((tip[0] + 4, tip[1] + 4), label, fill=FIRST)


def _draw_scale(draw: ImageDraw.ImageDraw, plan: Plan) -> None:
    """A bar with its length in world units."""
    length = 10.0 ** np.floor(np.log10(plan.reach))
    right = 12 + length / plan.reach / 2 * SIDE_PX
    draw.line([(12, SIDE_PX - 14), (right, SIDE_PX - 14)], fill=INK, width=2)
    draw.text((12, SIDE_PX - 30), f"{length:g}", fill=INK)
