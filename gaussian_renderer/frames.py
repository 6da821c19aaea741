"""One loop for every picture this project writes: cameras go in, each rendered frame is handed to all sinks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from ndraster import RasterOutput
from torch import Tensor

from gaussian_renderer import DEFAULT_SETTINGS, RenderSettings, render
from scene.cameras import Camera
from scene.exposure import Exposures, exposed
from scene.gaussian_model import GaussianModel


@dataclass(frozen=True)
class Frame:
    """One rendered view on its way to the sinks."""

    index: int
    """Number of the frame in its folder, from 0."""

    camera: Camera
    """The camera it was rendered from."""

    output: RasterOutput
    """What the rasterizer returned; color [3, H, W] is not clamped yet."""

    @property
    def color(self) -> Tensor:
        """The image [3, H, W] in 0..1."""
        return self.output.color.clamp(0.0, 1.0)


class Sink(Protocol):
    """A destination of frames: a folder, a video, a table. Entered before the first frame, left after the last."""

    needs_features: bool

    def __enter__(self) -> Sink: ...

    def __exit__(self, *exception: object) -> None: ...

    def add(self, frame: Frame) -> None:
        """Take one frame; called once per camera in order."""


@torch.no_grad()
def render_frames(
    cameras: Iterable[Camera],
    model: GaussianModel,
    sinks: Sequence[Sink],
    *,
    background: Tensor | None = None,  # [3]
    settings: RenderSettings = DEFAULT_SETTINGS,
    features: Tensor | None = None,  # [N, D] to blend instead of the model's own
    exposures: Exposures | None = None,  # of photographed views; None = all are shown as the model is
) -> int:
    """Render every camera once and give the frame to each sink; returns the number of frames.

    The feature pass is skipped when no sink asks for it.
    """
    wanted = settings.with_features and any(sink.needs_features for sink in sinks)
    settings = replace(settings, with_features=wanted)
    count = 0
    with ExitStack() as stack:
        entered = [stack.enter_context(sink) for sink in sinks]
        for index, camera in enumerate(cameras):
            output = render(camera, model, background, settings=settings, features=features)
            frame = Frame(index, camera, _as_photographed(output, camera, background, exposures))
            for sink in entered:
                sink.add(frame)
            count += 1
    return count


def _as_photographed(
    output: RasterOutput, camera: Camera, background: Tensor | None, exposures: Exposures | None
) -> RasterOutput:
    """The render with the exposure of the camera's photograph, where there is one and it is known."""
    matrix = None if exposures is None or camera.info is None else exposures.of(camera.image_name)
    return output if matrix is None else replace(output, color=exposed(output.color, output.alpha, matrix, background))
