"""Frames of objects that are followed through time, in the folders and videos of DGD's render.py (Labe et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from arguments import FollowParams
from gaussian_renderer import sinks
from gaussian_renderer.blend_weights import blend_weights
from gaussian_renderer.dgd_selection import Chosen, choose, cosines, marked, read_points, thetas_for, window_query
from gaussian_renderer.feature_basis import FeatureColors, evenly_spread
from gaussian_renderer.feature_space import comparable_rows
from gaussian_renderer.frames import Frame, render_frames
from gaussian_renderer.membership import mask_picture
from gaussian_renderer.prompting import WEIGHT_VIEWS, surface_of
from gaussian_renderer.render_job import Job
from gaussian_renderer.time_paths import over_time, standing
from scene.cameras import Camera
from utils.colormaps import palette
from utils.errors import UserError
from utils.progress import say, warn

FPS = 60
SPLIT = "train"


def frame_cameras(train: Sequence[Camera], options: FollowParams) -> list[Camera]:
    """The cameras of --frame and --novel_views: training views with their own times, or one while time runs."""
    count, fixed = options.frame or len(train), options.novel_views
    if options.frame is not None and options.frame < 1:
        raise UserError(f"--frame is {options.frame}; expected at least 1; leave it out to render all training views")
    if not -1 <= fixed < len(train):
        raise UserError(f"--novel_views is {fixed}; expected -1, or a training view from 0 to {len(train) - 1}")
    if fixed >= 0:
        return list(over_time(standing(train[fixed], count), count))
    if count > len(train):
        warn(f"--frame is {count}, but there are {len(train)} training views; these are rendered")
    return list(train[:count])


def clicked(job: Job, options: FollowParams) -> tuple[Tensor, Tensor]:
    """Cosines [N, K] of the Gaussians with what K points show, and these queries [K, D]."""
    trained, number = job.trained, options.ref_frame
    train, features = trained.scene.train, trained.model.features.detach()
    if not 0 <= number < len(train):
        raise UserError(f"--ref_frame is {number}; expected a training view from 0 to {len(train) - 1}")
    rows = features.softmax(1) if trained.classes else comparable_rows(features, trained.decoder)
    surface = surface_of(train[number], trained.model, rows, replace(job.settings, feature_size=None))
    points = read_points(options.points)
    queries = torch.stack([window_query(surface, point, options.compat_click) for point in points])
    return cosines(rows, queries), queries


def chosen_by(job: Job, options: FollowParams, scores: Tensor, queries: Tensor) -> Chosen:
    """The Gaussians whose scores [N, K] reach the thresholds; says how many."""
    weight = None
    if not options.thetas:
        views = evenly_spread(job.trained.scene.train, WEIGHT_VIEWS)
        weight = blend_weights(views, job.trained.model, job.settings)
    thetas = thetas_for(options.thetas, scores, weight)
    chosen = choose(scores, queries, thetas, exclusive=bool(options.prompt))
    counts = torch.bincount(chosen.numbers, minlength=len(thetas) + 1)[1:].tolist()
    for name, count, theta in zip(options.prompt or options.points, counts, thetas.tolist(), strict=True):
        say(f"{name}: {count} of {len(scores)} Gaussians, theta {theta:.3f}")
        if count == 0:
            warn(f"nothing is chosen for {name}; give a smaller number to --thetas")
    return chosen


def render_followed(job: Job, options: FollowParams, chosen: Chosen | None) -> None:
    """Write <model>/train/ours_<iteration>: renders, renders_PCA, mask, gt with videos, and selection.npz.

    Masks and colours of features show the trained scene, whatever became of the chosen Gaussians; gt is there for
    training views. Without anything chosen there are no masks.
    """
    folder, fps = job.folder(SPLIT), job.options.fps or FPS
    cameras = frame_cameras(job.trained.scene.train, options)
    shown = job if chosen is None else replace(job, model=marked(job.model, chosen, options.op))
    pictures = {"renders": ("video", sinks.color_picture)}
    if options.novel_views == -1:
        truth = sinks.ground_truth_picture(job.trained.scene.images, job.trained.background)
        pictures["gt"] = ("video_gt", truth)
    written: list = [sinks.ManifestSink(folder / "manifest.json")]
    for name, (video, picture) in pictures.items():
        written.append(sinks.FolderSink(folder / name, picture))
        written.append(sinks.VideoSink(folder / name / f"{video}.mp4", picture, fps))
    shown.render(cameras, written)
    _render_channels(job, cameras, chosen)
    if chosen is not None:
        chosen.save(folder / "selection.npz")
    say(f"{len(cameras)} frames in {folder}")


def _render_channels(job: Job, cameras: Sequence[Camera], chosen: Chosen | None) -> None:
    """Masks and colours of features: channels 0 and 1 to 3 of one feature image."""
    if job.model.features is None:
        return
    folder, fps = job.folder(SPLIT), job.options.fps or FPS
    colors = gaussian_colors(job)
    mask = torch.zeros_like(colors[:, 0]) if chosen is None else chosen.mask.to(colors)
    written: list = [
        sinks.FolderSink(folder / "renders_PCA", _colors_of_features, needs_features=True),
        sinks.VideoSink(folder / "renders_PCA" / "video_PCA.mp4", _colors_of_features, fps, needs_features=True),
    ]
    if chosen is not None:
        written.append(sinks.FolderSink(folder / "mask", mask_picture, needs_features=True))
    channels = torch.cat([mask[:, None], colors], dim=1)
    render_frames(cameras, job.model, written, settings=replace(job.settings, feature_size=None), features=channels)


def gaussian_colors(job: Job) -> Tensor:
    """Colours [N, 3] in 0..1 of the Gaussians' features in the scene's basis, or of their classes."""
    features, outputs = job.model.features.detach(), job.outputs
    if outputs.classes:
        return palette(len(outputs.classes)).to(features.device)[features.argmax(1)]
    colors = FeatureColors(outputs.basis, outputs.decoder)
    return colors.of(features.T[:, :, None])[:, :, 0].T


def _colors_of_features(frame: Frame) -> Tensor:
    """The blended colours [3, H, W]; black where nothing is."""
    return frame.output.features[1:].clamp(0.0, 1.0)
