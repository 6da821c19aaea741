"""Opening a trained model folder: cameras, Gaussians, decoder and the options they were trained with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from arguments import ModelParams
from gaussian_renderer.feature_decoder import LinearDecoder, decoder_path
from scene import Scene
from scene.formats import read_splats
from scene.gaussian_model import GaussianModel
from scene.motion.files import load_motion
from utils.devices import choose_device
from utils.errors import UserError
from utils.files import read_json
from utils.progress import say


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

    @property
    def basis_path(self) -> Path:
        """Where the PCA basis of these features lives."""
        return saved_iteration_folder(self.model_path, self.iteration) / "feature_pca.safetensors"


def open_trained(model: ModelParams, iteration: int = -1) -> TrainedScene:
    """Load one saved iteration (-1 = the latest) and the data set that it was trained on.

    Nothing in the returned model asks for gradients.
    """
    iteration = resolve_iteration(model.model_path, iteration)
    return trained_on(Scene.open(model, choose_device(model.device)), model, iteration)


def trained_on(scene: Scene, model: ModelParams, iteration: int) -> TrainedScene:
    """One saved iteration of a model, with the data set opened already."""
    folder = saved_iteration_folder(model.model_path, iteration)
    device = choose_device(model.device)
    motion = load_motion(model.model_path, iteration, device)
    gaussians = GaussianModel.from_arrays(read_splats(folder / "point_cloud.ply"), device).with_motion(motion)
    for parameter in gaussians.params.values():
        parameter.requires_grad_(False)
    path = decoder_path(model.model_path, iteration)
    decoder = LinearDecoder.load(path, device).requires_grad_(False) if path.is_file() else None
    _check_widths(gaussians, decoder, path)
    classes = read_classes(model.model_path, gaussians.feature_dim)
    background = torch.full((3,), 1.0 if model.white_background else 0.0, device=device)
    features = f"labels of {len(classes)} classes" if classes else describe_features(gaussians, decoder)
    moving = "" if motion.is_static else f", moved by {motion.kind}"
    say(f"model: iteration {iteration}, {gaussians.num_gaussians} Gaussians{moving}, {features}")
    return TrainedScene(scene, gaussians, decoder, iteration, background, Path(model.model_path), classes)


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
