"""The time of a moving scene in what a selection leaves on disk: tracks, splat files of moments, films, tails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gaussian_renderer.anchors import project
from gaussian_renderer.feature_basis import evenly_spread
from gaussian_renderer.frames import Frame
from gaussian_renderer.sinks import Picture
from gaussian_renderer.tracks import Tracks, sampled
from scene.cameras import Camera
from scene.formats import write_splats
from scene.gaussian_model import GaussianModel
from scene.motion.freeze import frozen_at
from scene.prompts import SAME_SURFACE
from utils.colormaps import palette

NUM_TAILS = 24  # tracks that are drawn
TAIL_MOMENTS = 12  # behind each
DOTS = 8  # drawn from one moment to the next


@dataclass(frozen=True)
class Moments:
    """Which moments of a moving scene are written, and from where they are filmed."""

    times: Sequence[float]
    """Of the training views, rising, 0..1."""
    shown: float
    """The moment that splat files of the whole scene show."""
    fixed_view: Camera
    """From which a film is made while time runs."""
    max_tracks: int
    """Gaussians at most whose paths are written."""
    num_plys: int
    """Splat files of the selection at most."""

    def follow(self, model: GaussianModel, numbers: Tensor, weight: Tensor) -> Tracks:
        """Paths of the Gaussians with a number [N] above 0; `weight` [N] is how much each is seen."""
        return Tracks.of(model, numbers, sampled(numbers > 0, weight, self.max_tracks), self.times)

    def write_plys(self, folder: Path, model: GaussianModel, chosen: Tensor) -> None:
        """`%05d.ply`: the `chosen` Gaussians [N] bool at evenly spread moments, named by the number of the moment.

        They have no features: these do not change, and `selected.ply` has them. Files of an earlier selection go.
        """
        for old in folder.glob("[0-9]*.ply"):
            old.unlink()
        part = model.subset(chosen).with_features(None)
        for index in evenly_spread(range(len(self.times)), self.num_plys):
            write_splats(folder / f"{index:05d}.ply", frozen_at(part, self.times[index]).to_arrays())

    def fixed_path(self) -> Iterator[Camera]:
        """The fixed view at all moments."""
        for index, time in enumerate(self.times):
            yield replace(self.fixed_view, uid=index, image_name=f"moment_{index:05d}", time=time, info=None)


def in_time_order(cameras: Sequence[Camera]) -> list[Camera]:
    """Photographed views as time runs, all of the first one's size."""
    ordered = sorted(cameras, key=lambda camera: (camera.time, camera.image_name))
    return [camera.resized(ordered[0].width, ordered[0].height) for camera in ordered]


def with_tails(picture: Picture, tracks: Tracks) -> Picture:
    """The picture with the way that some of the tracks came, as far as it ends at something that can be seen."""
    if len(tracks.indices) == 0:
        return picture
    some = torch.linspace(0, len(tracks.indices) - 1, min(NUM_TAILS, len(tracks.indices))).round().long()
    means, colors = tracks.means[:, some.to(tracks.means.device)], palette(len(some))

    def draw(frame: Frame) -> Tensor:
        now = int(torch.searchsorted(tracks.times, frame.camera.time + 1e-6)) - 1
        return _with_dots(picture(frame), frame, means[max(0, now - TAIL_MOMENTS) : now + 1], colors)

    return draw


def _with_dots(image: Tensor, frame: Frame, path: Tensor, colors: Tensor) -> Tensor:
    """The image [3, H, W] with dots along paths [T, M, 3] that end on its surface, in the colours [M, 3]."""
    if len(path) < 2:
        return image
    steps = torch.linspace(0, 1, DOTS, device=path.device)[:, None, None, None]
    points = torch.lerp(path[:-1], path[1:], steps).flatten(0, 1)  # [S, M, 3]
    pixels, depth = project(frame.camera, points.flatten(0, 1))
    inside = _inside(pixels, depth, image).reshape(points.shape[:2]) & _shown(frame, path[-1])
    columns, rows = pixels.floor().long().reshape(*points.shape[:2], 2)[inside].unbind(1)
    result = image.clone()
    result[:, rows, columns] = colors.to(image).expand(len(points), -1, -1)[inside].T
    return result


def _inside(pixels: Tensor, depth: Tensor, image: Tensor) -> Tensor:
    size = torch.tensor([image.shape[2], image.shape[1]], device=pixels.device)
    return (depth > 0) & (pixels >= 0).all(1) & (pixels < size).all(1)


def _shown(frame: Frame, points: Tensor) -> Tensor:
    """Which world points [M, 3] nothing hides in the frame."""
    pixels, depth = project(frame.camera, points)
    surface = frame.output.median_depth
    inside = _inside(pixels, depth, surface)
    columns, rows = torch.where(inside[:, None], pixels, torch.zeros_like(pixels)).long().unbind(1)
    nearest = surface[0, rows, columns]
    return inside & ((nearest == 0) | (depth <= nearest * (1 + SAME_SURFACE)))
