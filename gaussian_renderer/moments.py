"""The time of a moving scene in what a selection leaves on disk: tracks, splat files of moments, films, tails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gaussian_renderer.feature_basis import evenly_spread
from gaussian_renderer.sinks import Picture
from gaussian_renderer.tails import Tails
from gaussian_renderer.tracks import Tracks, sampled
from scene.cameras import Camera
from scene.formats import write_splats
from scene.gaussian_model import GaussianModel
from scene.motion.freeze import frozen_at
from utils.colormaps import palette

NUM_TAILS = 24  # tracks that are drawn


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
    means = tracks.means[:, some.to(tracks.means.device)]
    return Tails(tracks.times, means, palette(len(some))).on(picture)
