"""Opening a trained model folder: cameras, Gaussians, decoder and the options they were trained with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arguments import ModelParams, PipelineParams, load_config
from gaussian_renderer import RenderSettings
from gaussian_renderer.feature_decoder import LinearDecoder, decoder_path
from scene import Scene
from scene.exposure import Exposures
from scene.formats import read_splats
from scene.gaussian_model import GaussianModel
from scene.layer_files import LayerTable, read_table
from scene.motion.files import load_motion
from utils.devices import choose_device
from utils.errors import UserError
from utils.files import read_json
from utils.progress import say, warn


@dataclass(frozen=True)
class TrainedScene:
    """What render.py and segment.py work on."""

    scene: Scene
    model: GaussianModel
    decoder: LinearDecoder | None
    iteration: int
    background: Tensor  # [3]
    model_path: Path
    classes: tuple[str, ...] = ()
    """Names of the channels of a model of class labels, whose features are logits; else empty."""
    rows: Tensor | None = None
    """Rows [N] of the model's file that were loaded, where only some layers were; None = all."""
    num_rows: int = 0
    """Rows of that file."""
    exposures: Exposures = Exposures({})
    """Of the photographs; empty unless they were learnt."""

    @property
    def basis_path(self) -> Path:
        """Where the PCA basis of these features lives."""
        return saved_iteration_folder(self.model_path, self.iteration) / "feature_pca.safetensors"

    def all_rows(self, values: Tensor) -> Tensor:
        """Values [N, ...] of the loaded Gaussians as values of all in the model's file, zero for the others."""
        if self.rows is None:
            return values
        return values.new_zeros(self.num_rows, *values.shape[1:]).index_copy(0, self.rows.to(values.device), values)


def open_trained(model: ModelParams, iteration: int = -1, layers: Sequence[str] = ()) -> TrainedScene:
    """Load one saved iteration (-1 = the latest) and the data set that it was trained on.

    Nothing in the returned model asks for gradients. Of a model with layers those named in `layers` are loaded, by
    number (0 = the oldest) or name; all without any.
    """
    iteration = resolve_iteration(model.model_path, iteration)
    scene = Scene.open(replace(model, depths=""), choose_device(model.device))  # only training looks at depth maps
    return trained_on(scene, model, iteration, layers)


def trained_on(scene: Scene, model: ModelParams, iteration: int, layers: Sequence[str] = ()) -> TrainedScene:
    """One saved iteration of a model, with the data set opened already."""
    folder = saved_iteration_folder(model.model_path, iteration)
    device = choose_device(model.device)
    motion = load_motion(model.model_path, iteration, device)
    gaussians = GaussianModel.from_arrays(read_splats(folder / "point_cloud.ply"), device).with_motion(motion)
    for parameter in gaussians.params.values():
        parameter.requires_grad_(False)
    num_rows, rows = len(gaussians), rows_of_layers(folder / "point_cloud.ply", len(gaussians), layers)
    gaussians = gaussians if rows is None else gaussians.subset(rows)
    path = decoder_path(model.model_path, iteration)
    decoder = LinearDecoder.load(path, device).requires_grad_(False) if path.is_file() else None
    _check_widths(gaussians, decoder, path)
    classes = read_classes(model.model_path, gaussians.feature_dim)
    background = torch.full((3,), 1.0 if model.white_background else 0.0, device=device)
    features = f"labels of {len(classes)} classes" if classes else describe_features(gaussians, decoder)
    moving = "" if motion.is_static else f", moved by {motion.kind}"
    say(f"model: iteration {iteration}, {gaussians.num_gaussians} Gaussians{moving}, {features}")
    exposures = Exposures.load(model.model_path, device) if model.exposure else Exposures({})
    return TrainedScene(
        scene,
        gaussians,
        decoder,
        iteration,
        background,
        Path(model.model_path),
        classes,
        rows,
        num_rows,
        exposures,
    )


def rows_of_layers(ply: Path, count: int, layers: Sequence[str]) -> Tensor | None:
    """Rows [M] of the chosen layers in a file of `count` Gaussians; None = all."""
    if not layers:
        return None
    table = read_table(ply, count) or LayerTable(("layer0",), np.zeros(count, np.int32))
    return torch.from_numpy(table.rows_of(layers))


def render_settings(model: ModelParams, pipeline: PipelineParams) -> RenderSettings:
    """How a trained model is rendered; warns where that is not how it was trained."""
    saved = load_config(model.model_path, PipelineParams)
    if pipeline.antialiasing != saved.antialiasing:
        trained, flag = ("with", "--antialiasing") if saved.antialiasing else ("without", "--no_antialiasing")
        warn(f"{model.model_path} was trained {trained} antialiasing and is rendered otherwise; {flag} restores that")
    return RenderSettings(model.backend, pipeline.antialiasing)


def saved_iteration_folder(model_path: str | Path, iteration: int) -> Path:
    """Folder of one saved iteration."""
    return Path(model_path) / "point_cloud" / f"iteration_{iteration}"


def classes_path(model_path: str | Path) -> Path:
    """Where a model of class labels has the names of its classes: a JSON list in the order of the channels."""
    return Path(model_path) / "label_classes.json"


def read_classes(model_path: str | Path, feature_dim: int) -> tuple[str, ...]:
    """Names of a model's classes; empty for a model of features, or of none."""
    path = classes_path(model_path)
    if not path.is_file():
        return ()
    names = read_json(path)
    if not isinstance(names, list) or len(names) != feature_dim or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: expected a list of {feature_dim} class names, one per channel; train again")
    return tuple(names)


def resolve_iteration(model_path: str | Path, iteration: int) -> int:
    """The asked-for saved iteration, or the latest for -1."""
    root = Path(model_path) / "point_cloud"
    names = [path.parent.name for path in root.glob("iteration_*/point_cloud.ply")]
    found = sorted(int(match[1]) for name in names if (match := re.fullmatch(r"iteration_(\d+)", name)))
    if not found:
        raise UserError(f"{root}: no saved iteration in it; expected iteration_*/point_cloud.ply; run train.py first")
    if iteration == -1:
        return found[-1]
    if iteration not in found:
        listed = ", ".join(map(str, found))
        raise UserError(f"iteration {iteration} is not in {root}; saved are {listed}; give --iteration one of them")
    return iteration


def describe_features(model: GaussianModel, decoder: LinearDecoder | None) -> str:
    """Words for the feature part of a model."""
    if model.features is None:
        return "no features"
    width = model.features.shape[1]
    return f"features {width} wide" + (f", decoded to {decoder.teacher_dim}" if decoder is not None else "")


def _check_widths(model: GaussianModel, decoder: LinearDecoder | None, path: Path) -> None:
    if decoder is not None and (model.features is None or model.features.shape[1] != decoder.feature_dim):
        seen = 0 if model.features is None else model.features.shape[1]
        raise UserError(
            f"{path} decodes width {decoder.feature_dim}, the Gaussians have {seen}; they must be of one run"
        )
