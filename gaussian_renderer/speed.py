"""How fast a model is rendered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice

import torch
from torch import Tensor

from gaussian_renderer import RenderSettings, render
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel

WARM_UP = 5  # first frames, which are left out, as in Deformable 3DGS


@torch.no_grad()
def frames_per_second(
    cameras: Sequence[Camera],
    model: GaussianModel,
    background: Tensor,  # [3]
    settings: RenderSettings,
) -> float:
    """Colour images a second, from the moment of the camera to the finished image on the device; motion included.

    Every camera is timed once after five that are not, which come round again; features are not rendered.
    """
    settings = replace(settings, with_features=False)
    seconds = []
    for camera in islice(cycle(cameras), len(cameras) + WARM_UP):
        start = time.perf_counter()
        render(camera, model, background, settings=settings)
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)
        seconds.append(time.perf_counter() - start)
    return len(cameras) / sum(seconds[WARM_UP:])
