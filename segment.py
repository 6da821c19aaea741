"""Selects an object by clicks: its mask in every view, and the Gaussians of the object and of the rest.

    python segment.py -m output/run --point 120 80 --view 0
    python segment.py -m output/run --point 120 80 --point 130 95 --negative 20 20 --view_name 0001.jpg

X is the column and Y the row in the training image of that view, at the size that training used. Writes to
<model>/segment/<name>: {masks,overlay}/<view>.png, overlay.mp4, selected.ply, rest.ply, selection.npz, selection.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arguments import ModelParams, PipelineParams, SegmentParams, SemanticParams, merge_saved
from encoders import image_key
from gaussian_renderer import RenderSettings, render, sinks, trajectories
from gaussian_renderer.blend_weights import blend_weights
from gaussian_renderer.feature_basis import evenly_spread
from gaussian_renderer.frames import render_frames
from gaussian_renderer.membership import mask_picture, overlay_picture
from gaussian_renderer.trained import TrainedScene, open_trained
from scene.cameras import Camera
from scene.formats import write_splats
from scene.selection import Clicks, Selection, click_query, clicked_gaussians, select
from utils.errors import UserError
from utils.files import atomic_path, write_json
from utils.progress import say, set_quiet
from utils.script import run

GROUPS = (ModelParams, PipelineParams, SemanticParams, SegmentParams)
WEIGHT_VIEWS = 24  # views over which the visibility of the Gaussians is measured
VIDEO_VIEWS = 60


@dataclass(frozen=True)
class Job:
    """What one run works with."""

    trained: TrainedScene
    settings: RenderSettings
    options: SegmentParams
    camera: Camera
    """The view that was clicked in."""

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.trained.model_path / "segment" / self.options.name


def main(args: Sequence[str] | None = None) -> None:
    """Select what the command line asks for; `args` stands in for it."""
    model, pipeline, _, options = merge_saved("Select an object of a trained model by clicks.", *GROUPS, args=args)
    set_quiet(options.quiet)
    check_options(options)
    trained = open_trained(model, options.iteration)
    if trained.model.features is None:
        raise UserError(f"{model.model_path}: this model has no features; expected some; train with -f classical")
    camera = clicked_camera(trained.scene.train, options)
    job = Job(trained, RenderSettings(model.backend, pipeline.antialiasing), options, camera)
    selection = select_by_clicks(job)
    write_selection(job, selection)
    write_pictures(job, selection)
    say_result(job, selection)


def check_options(options: SegmentParams) -> None:
    """Refuse a run without a click, and a name that leaves the folder."""
    if not options.point:
        raise UserError("no point given; expected a pixel on the object; add --point X Y (and --view K)")
    if not options.name or Path(options.name).name != options.name:
        raise UserError(f"--name is {options.name!r}; expected a plain folder name, e.g. fox")


def clicked_camera(cameras: Sequence[Camera], options: SegmentParams) -> Camera:
    """The training view that the points refer to."""
    ordered = trajectories.sorted_by_name(cameras)
    if options.view_name:
        wanted = image_key(options.view_name)
        found = [camera for camera in ordered if image_key(camera.image_name) == wanted]
        if not found:
            names = f"{ordered[0].image_name} to {ordered[-1].image_name}"
            raise UserError(f"view {options.view_name!r} is not a training view; there are {names}; check --view_name")
        return found[0]
    if not 0 <= options.view < len(ordered):
        raise UserError(f"--view is {options.view}; expected 0 to {len(ordered) - 1} (training views sorted by name)")
    return ordered[options.view]


def select_by_clicks(job: Job) -> Selection:
    """Queries from the rendered features under the clicks, then the Gaussians that are like them.

    Queries come from the rendered map rather than from the teacher's: it is sharper, exists for every view, and blends
    exactly the features that it is compared with. Cosines are those of the teacher's space, also with a decoder.
    """
    model, options = job.trained.model, job.options
    features = comparable_features(job.trained)
    with torch.no_grad():
        output = render(job.camera, model, settings=job.settings, features=features)
    surface = (output.features, output.alpha, output.median_depth)
    positive = [click_query(*surface, point) for point in options.point]
    negative = [click_query(*surface, point) for point in options.negative]
    seeds = torch.cat([clicked_gaussians(output.median_ids, output.median_depth, point) for point in options.point])
    clicks = Clicks(torch.stack(positive), torch.stack(negative) if negative else features[:0], seeds)
    weight = blend_weights(evenly_spread(job.trained.scene.train, WEIGHT_VIEWS), model, job.settings)
    return select(features, clicks, model.means.detach(), weight, options.threshold, options.connected)


def comparable_features(trained: TrainedScene) -> Tensor:
    """Rows [N, D] or [N, D + 1] whose cosines are those of the decoded features (see LinearDecoder.metric_root)."""
    features = trained.model.features.detach()
    if trained.decoder is None:
        return features
    ones = torch.ones_like(features[:, :1])
    return torch.cat([features, ones], dim=1) @ trained.decoder.metric_root().T


def write_selection(job: Job, selection: Selection) -> None:
    """The Gaussians of the object, those of the rest, and the index-aligned arrays."""
    model, mask = job.trained.model, selection.mask
    write_splats(job.folder / "selected.ply", model.subset(mask).to_arrays())
    write_splats(job.folder / "rest.ply", model.subset(~mask).to_arrays())
    arrays = {
        "mask": mask,
        "similarity": selection.similarity,
        "score": selection.score,
        "positive_queries": selection.clicks.positive,
        "negative_queries": selection.clicks.negative,
    }
    with atomic_path(job.folder / "selection.npz") as temp, open(temp, "wb") as file:
        np.savez_compressed(
            file,
            threshold=np.float32(selection.threshold),
            **{name: value.cpu().numpy() for name, value in arrays.items()},
        )
    write_json(job.folder / "selection.json", describe(job, selection))


def describe(job: Job, selection: Selection) -> dict:
    """What was asked and found, and which views there are masks of."""
    scene = job.trained.scene
    splits = [("train", camera) for camera in scene.train] + [("test", camera) for camera in scene.test]
    return {
        "iteration": job.trained.iteration,
        "click_view": image_key(job.camera.image_name),
        "click_size": [job.camera.width, job.camera.height],
        "points": job.options.point,
        "negative": job.options.negative,
        "threshold": selection.threshold,
        "threshold_is_automatic": job.options.threshold is None,
        "connected": job.options.connected,
        "selected": int(selection.mask.sum()),
        "total": len(selection.mask),
        "views": [
            {"key": image_key(camera.image_name), "image_name": camera.image_name, "split": split}
            for split, camera in splits
        ],
    }


def write_pictures(job: Job, selection: Selection) -> None:
    """Masks and overlays of all photographed views, and a video of the overlay along a path through them."""
    scene = job.trained.scene
    membership = selection.mask[:, None].float()
    pictures = [
        sinks.FolderSink(job.folder / "masks", mask_picture, name=view_file, needs_features=True),
        sinks.FolderSink(job.folder / "overlay", overlay_picture, name=view_file, needs_features=True),
    ]
    background = job.trained.background
    shared = {"background": background, "settings": job.settings, "features": membership}
    render_frames([*scene.train, *scene.test], job.trained.model, pictures, **shared)
    if not job.options.skip_video:
        video = sinks.VideoSink(job.folder / "overlay.mp4", overlay_picture, job.options.fps, needs_features=True)
        render_frames(trajectories.slerp_path(scene.train, VIDEO_VIEWS), job.trained.model, [video], **shared)


def view_file(frame: sinks.Frame) -> str:
    """Name of a view's picture: its image name without the ending, sub-folders joined by two underscores."""
    return f"{image_key(frame.camera.image_name)}.png"


def say_result(job: Job, selection: Selection) -> None:
    """What was found, where it is, and what to run next."""
    count, total = int(selection.mask.sum()), len(selection.mask)
    origin = "automatic" if job.options.threshold is None else "given"
    say(f"selected {count} of {total} Gaussians at {origin} threshold {selection.threshold:.3f}; written: {job.folder}")
    labels = Path(job.trained.scene.info.root) / "labels"
    shown = labels if labels.is_dir() else "LABEL_FOLDER"
    say(f"next: python metrics.py -m {job.trained.model_path} --labels {shown}")


if __name__ == "__main__":
    run(main)
