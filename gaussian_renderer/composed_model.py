"""Model folders going into a composition, and the one that comes out of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from arguments import ModelParams, MotionParams, PipelineParams, SemanticParams, load_config, save_config
from gaussian_renderer.feature_decoder import decoder_path
from gaussian_renderer.trained import classes_path, resolve_iteration, saved_iteration_folder
from scene.composition.bake import Baked
from scene.composition.layers import Layer
from scene.composition.select import TRACKED, Source
from scene.formats import read_splats
from scene.formats.ply import FEATURE_PREFIX, LABEL_PREFIX, write_ply
from scene.gaussian_model import GaussianModel
from scene.motion import MotionSetup
from scene.motion.files import load_motion, motion_folder, save_motion
from scene.motion.per_timestep import PerTimestep
from scene.motion.static import StaticMotion
from scene.scene_info import ball_of
from utils.errors import UserError

OF_VIEWS = ("cameras.json", "input.ply", "image_sizes.json")
OF_FEATURES = ("teacher.json",)


def open_source(layer: Layer, device: torch.device | str) -> Source:
    """The Gaussians of a layer with their motion; a splat file stands still. Nothing asks for gradients."""
    if layer.ply:
        arrays, motion, folder = read_splats(layer.ply), StaticMotion(), None
    else:
        folder = Path(layer.model)
        iteration = resolve_iteration(folder, layer.iteration)
        arrays = read_splats(saved_iteration_folder(folder, iteration) / "point_cloud.ply")
        motion = load_motion(folder, iteration, device)
    if len(arrays) == 0:
        raise UserError(f"layer {layer.name!r}: {layer.model or layer.ply} has no Gaussians; expected some; change it")
    model = GaussianModel.from_arrays(arrays, device).with_motion(motion)
    for parameter in model.params.values():
        parameter.requires_grad_(False)
    return Source(model, folder)


def write_model(folder: Path, baked: Baked, base: Path, iteration: int) -> None:
    """Write a tracked model that uses the data set of the model folder `base` and is called its iteration."""
    has_features = baked.gaussians.semantic_feature is not None
    is_labelled = has_features and classes_path(base).is_file()
    ply = saved_iteration_folder(folder, iteration) / "point_cloud.ply"
    write_ply(ply, baked.gaussians, LABEL_PREFIX if is_labelled else FEATURE_PREFIX)
    center, radius = ball_of(baked.gaussians.xyz.astype(np.float64))
    setup = MotionSetup(load_config(base, MotionParams), tuple(center.tolist()), radius or 1.0)
    save_motion(motion_folder(folder, iteration), PerTimestep.of(baked.trajectories.to("cpu"), setup))
    decoder = decoder_path(base, iteration)
    if has_features and decoder.is_file():
        shutil.copyfile(decoder, decoder_path(folder, iteration))
    names = [*OF_VIEWS, *(OF_FEATURES if has_features else ()), *([classes_path(base).name] if is_labelled else ())]
    for name in names:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    _write_options(folder, base, baked)


def _write_options(folder: Path, base: Path, baked: Baked) -> None:
    """The options of the base, of which the motion and the number of colour coefficients differ."""
    degree = GaussianModel.from_arrays(baked.gaussians).max_sh_degree
    model = replace(load_config(base, ModelParams), model_path=str(folder), sh_degree=degree)
    motion = replace(load_config(base, MotionParams), motion=TRACKED)
    save_config(folder, model, load_config(base, PipelineParams), load_config(base, SemanticParams), motion)
