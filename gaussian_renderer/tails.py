"""Coloured tails in pictures: the way that moving points came, as far as nothing hides where they are now."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gaussian_renderer.anchors import project
from gaussian_renderer.frames import Frame
from gaussian_renderer.sinks import Picture
from scene.cameras import Camera
from scene.prompts import SAME_SURFACE

TAIL_MOMENTS = 12  # behind each point
DOTS = 8  # drawn from one moment to the next


@dataclass(frozen=True)
class Tails:
    """What is drawn of M points over T moments."""

    times: Tensor  # [T] rising
    points: Tensor  # [T, M, 3] world units
    colors: Tensor  # [M, 3] in 0..1
    slack: float | None = None  # world units that a point may lie behind what is seen; None = a share of the depth
    head_px: int = 0  # radius of the disc at the present place, 0 = none

    def on(self, picture: Picture) -> Picture:
        """The picture with the tails that end at something which can be seen."""

        def draw(frame: Frame) -> Tensor:
            now = int(torch.searchsorted(self.times, frame.camera.time + 1e-6)) - 1
            return self._drawn(picture(frame), frame, self.points[max(0, now - TAIL_MOMENTS) : now + 1])

        return draw

    def _drawn(self, image: Tensor, frame: Frame, path: Tensor) -> Tensor:
        """The image [3, H, W] with dots along paths [S, M, 3], and discs at their ends."""
        if len(path) == 0:
            return image
        shown = seen_points(frame.camera, frame.output.median_depth, path[-1], self.slack)
        colors = self.colors.to(image)
        result = image.clone()
        if len(path) > 1:
            steps = torch.linspace(0, 1, DOTS, device=path.device)[:, None, None, None]
            _dot(result, frame.camera, torch.lerp(path[:-1], path[1:], steps).flatten(0, 1)[:, shown], colors[shown])
        for column, row in _disc(self.head_px):
            _dot(result, frame.camera, path[-1:, shown], colors[shown], (column, row))
        return result


def seen_points(camera: Camera, surface: Tensor, points: Tensor, slack: float | None = None) -> Tensor:
    """Which world points [M, 3] lie in a picture and not behind its surface [1, H, W] (camera z, 0 = nothing there).

    The surface at a point is the farthest of the pixels around it: within a pixel of a plane that is seen at a low
    angle, or of an edge, the depth differs by more than any slack.

    Args:
        slack: world units that a point may lie behind the surface; None = the share of the depth in which two
            things count as one surface.
    """
    pixels, depth = project(camera, points)
    inside = _inside(pixels, depth, surface)
    columns, rows = torch.where(inside[:, None], pixels, torch.zeros_like(pixels)).long().unbind(1)
    farthest = F.max_pool2d(surface[None], 3, stride=1, padding=1)[0, 0, rows, columns]
    room = SAME_SURFACE * farthest if slack is None else slack
    return inside & ((surface[0, rows, columns] == 0) | (depth <= farthest + room))


def _dot(image: Tensor, camera: Camera, points: Tensor, colors: Tensor, shift: tuple[int, int] = (0, 0)) -> None:
    """Colour, in place, the pixels `shift` (columns, rows) from world points [S, M, 3] in the colours [M, 3]."""
    pixels, depth = project(camera, points.flatten(0, 1))
    pixels = pixels + torch.tensor(shift, device=pixels.device)
    inside = _inside(pixels, depth, image)
    columns, rows = pixels[inside].floor().long().unbind(1)
    image[:, rows, columns] = colors.expand(len(points), -1, -1).flatten(0, 1)[inside].T


def _disc(radius_px: int) -> list[tuple[int, int]]:
    """Whole pixels (column, row) of a disc about its middle; none for radius 0."""
    reach = range(-radius_px, radius_px + 1)
    return [(x, y) for y in reach for x in reach if x * x + y * y <= radius_px**2] if radius_px else []


def _inside(pixels: Tensor, depth: Tensor, image: Tensor) -> Tensor:
    size = torch.tensor([image.shape[2], image.shape[1]], device=pixels.device)
    return (depth > 0) & (pixels >= 0).all(1) & (pixels < size).all(1)
