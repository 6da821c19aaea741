"""A moving scene on disk: the videos of --mode, and the Gaussians moment by moment."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from gaussian_renderer import RenderSettings, render
from gaussian_renderer.render_job import Job
from gaussian_renderer.time_paths import TIME_MODES, at_time, mode_path
from scene.cameras import Camera
from scene.formats.ply import FEATURE_PREFIX, LABEL_PREFIX, write_ply
from scene.gaussian_model import GaussianModel
from scene.motion.freeze import frozen_at
from utils.progress import Progress, say

MOMENTS = 30  # of a sequence of PLY files


def render_mode(job: Job, split: str, views: Sequence[Camera], seed: int) -> None:
    """Write <model>/<split>/<folder of the mode>_<iteration>: renders/video.mp4, and pictures if the mode has them.

    Args:
        job: its options name the mode, and the number of views if that is not the mode's own.
        split: train or test.
        views: photographed views of the split, at least one.
        seed: decides which of them is taken where one is.
    """
    options, mode = job.options, TIME_MODES[job.options.mode]
    chosen = random.Random(seed).choice(views)
    distance = surface_distance(chosen, job.model, job.settings) if options.mode == "view" else 0.0
    path = mode_path(options.mode, views, chosen, distance, options.num_views or mode.num_views)
    path = path if options.time is None else at_time(path, options.time)
    folder = job.trained.model_path / split / job.numbered(mode.folder)
    sinks = [*job.outputs.videos(folder / "renders", "video", job.fps)]
    if mode.has_pictures:
        sinks += job.outputs.of_view(folder)
    count = job.render(path, sinks)
    of_view = f" of {chosen.image_name}" if options.mode in ("time", "view") else ""
    say(f"{split}: {count} views{of_view} in {folder}")


@torch.no_grad()
def surface_distance(camera: Camera, model: GaussianModel, settings: RenderSettings) -> float:
    """Median depth of what a camera sees, world units; 1 when it sees nothing."""
    depth = render(camera, model, settings=settings).median_depth
    seen = depth[depth > 0]
    return float(seen.median()) if len(seen) else 1.0


def write_ply_sequence(job: Job, count: int) -> None:
    """Write <model>/ply_sequence_<iteration>/%05d.ply: the Gaussians at `count` moments, evenly from 0 to 1."""
    folder = job.trained.model_path / job.numbered("ply_sequence")
    prefix = LABEL_PREFIX if job.trained.classes else FEATURE_PREFIX
    with Progress(count) as progress:
        for index in range(count):
            frozen = frozen_at(job.model, index / max(count - 1, 1))
            write_ply(folder / f"{index:05d}.ply", frozen.to_arrays(), prefix)
            progress.update(index + 1)
    say(f"{count} moments in {folder}")
