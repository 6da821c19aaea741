"""Selects an object by clicks: 2D masks in every view, and the Gaussians of the object and of the rest.

    python segment.py -m output/run --point 120 80 --view 0
    python segment.py -m output/run --point 120 80 --point 130 95 --negative 20 20 --view_name 0001.jpg

X is the column and Y the row in the training image of that view, at the size that training used. Writes
<model>/segment/<name>/{masks/<view>.png, overlay/<view>.png, overlay.mp4, selected.ply, rest.ply, selection.npz, selection.json}.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arguments import ModelParams, PipelineParams, SegmentParams, SemanticParams, merge_saved
from gaussian_renderer import RenderSettings, render, sinks, trajectories
from gaussian_renderer.blend_weights import blend_weights
from gaussian_renderer.feature_basis import evenly_spread
from gaussian_renderer.frames import Frame, render_frames
from gaussian_renderer.membership import mask_picture, overlay_picture
from gaussian_renderer.trained import TrainedScene, open_trained
from scene.cameras import Camera
from scene.formats import write_splats
from scene.selection import Clicks, Selection, click_query, select
from utils.errors import UserError
from utils.files import atomic_path, write_json
from utils.image_io import image_key
from utils.progress import say, set_quiet
from utils.script import run

WEIGHT_VIEWS = 24  # views over which the visibility of the Gaussians is measured
VIDEO_VIEWS = 60


def main() -> None:
    """Select what the command line asks for."""
    groups = (ModelParams, PipelineParams, SemanticParams, SegmentParams)
    model, pipeline, _, options = merge_saved("Select an object of a trained model by clicks.", *groups)
    set_quiet(options.quiet)
    check_options(options)
    trained = open_trained(model, options.iteration)
    if trained.model.features is None:
        raise UserError(f"{model.model_path}: this model has no features; expected some; train with -f classical")
    settings = RenderSettings(model.backend, pipeline.antialiasing)
    camera = clicked_camera(trained.scene.train, options)
    selection = select_by_clicks(trained, settings, camera, options)
    folder = trained.model_path / "segment" / options.name
    write_selection(folder, trained, selection, camera, options)
    write_masks(folder, trained, selection, settings)
    if not options.skip_video:
        write_video(folder, trained, selection, settings, options.fps)
    share = float(selection.mask.float().mean())
    say(f"selected {int(selection.mask.sum())} Gaussians ({share:.1%}), threshold {selection.threshold:.3f}: {folder}")
    say(f"next: python metrics.py -m {trained.model_path} --labels LABEL_FOLDER")
