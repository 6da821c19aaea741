"""Gaussians from anywhere: a splat file, a checkpoint, a clip, or a model folder of this or of another program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gaussian_renderer.clip_exchange import clip_motion
from gaussian_renderer.feature_decoder import LinearDecoder, decoder_path
from gaussian_renderer.trained import read_classes, resolve_iteration, saved_iteration_folder
from scene.checkpoint import as_checkpoint, latest_checkpoint, read_content
from scene.formats import read_splats
from scene.formats.d3dg import read_params_npz
from scene.formats.ply import LABEL_PREFIX
from scene.gaussian_model import FEATURE_NAME, PARAMETER_NAMES, GaussianModel
from scene.layer_files import LayerTable, is_layer_content, layers_of_content, read_table, whole_arrays
from scene.layers import FrozenLayer, FrozenLayers
from scene.motion.files import load_motion, motion_beside
from utils.errors import UserError
from utils.files import read_json
from utils.npz import read_npz
from utils.ply_header import read_header
from utils.progress import warn

KNOWN = "a splat file, chkpnt*.pth, layer_save_*.pth, params.npz or a model folder"
FIRST_ITERATION = 1  # that Gaussians of a plain file are called
MAX_CLASS_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Source:
    """Gaussians, and what the place they come from knows about them."""

    path: Path
    model: GaussianModel
    iteration: int = FIRST_ITERATION
    folder: Path | None = None
    """The model folder."""
    layers: LayerTable | None = None
    """Which Gaussians belong to which layer; None = there are no layers."""
    decoder: LinearDecoder | None = None
    classes: tuple[str, ...] = ()
    """Names of the channels, if these are logits of classes."""
    extent: float | None = None
    """Radius of the camera positions, if a checkpoint knows it."""
    moments: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """State of Adam by name of the tensor, of a checkpoint."""

    def rows(self, chosen: np.ndarray) -> Source:
        """The same with some of the Gaussians, [N] bool."""
        if chosen.all():
            return self
        index = torch.from_numpy(np.flatnonzero(chosen))
        layers = None if self.layers is None else self.layers.part(chosen)
        return replace(self, model=self.model.subset(index), layers=layers, moments={})


def open_source(path: Path, iteration: int = -1, classes: Sequence[str] = ()) -> Source:
    """Read whatever this is, onto the CPU.

    Args:
        path: one of `KNOWN`.
        iteration: saved step of a model folder; -1 = the newest.
        classes: names of the channels of a label model that does not know them itself.

    Raises:
        UserError: none of these, or damaged.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; expected {KNOWN}; check the path")
    if path.is_dir():
        source = _from_folder(path, iteration)
    elif path.suffix in (".pth", ".pt"):
        source = _from_tensors(path)
    elif path.suffix == ".npz":
        source = _from_clip(path)
    else:
        source, motion = _from_file(path), motion_beside(path, "cpu")
        source = source if motion is None else replace(source, model=source.model.with_motion(motion))
    for parameter in source.model.params.values():
        parameter.requires_grad_(False)
    return _with_classes(source, classes)


def read_class_names(path: Path) -> tuple[str, ...]:
    """Names of classes from a JSON list, or a text with one in each line."""
    if not path.is_file() or path.stat().st_size > MAX_CLASS_BYTES:
        raise UserError(f"{path}: no small text file; expected names of classes, a JSON list or one per line")
    if path.suffix == ".json":
        names = read_json(path)
    else:
        names = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{path}: expected names of classes, a JSON list or one per line; mend the file")
    return tuple(names)


def chosen_rows(path: Path, count: int, labels: Sequence[int], invert: bool) -> np.ndarray:
    """[N] bool of a `selection.npz` that was made on a model of `count` Gaussians."""
    found = read_npz(path)
    numbers = found.get("labels", found.get("mask"))
    if numbers is None or numbers.ndim != 1 or numbers.dtype.kind not in "biu":
        raise UserError(f"{path}: has no labels or mask; expected selection.npz of segment.py; check --selection")
    if len(numbers) != count:
        raise UserError(f"{path}: is about {len(numbers)} Gaussians, the model has {count}; give its own")
    chosen = np.isin(numbers, labels) if labels else numbers > 0
    return ~chosen if invert else chosen


def _from_folder(folder: Path, iteration: int) -> Source:
    """A model folder; one without saved Gaussians gives those of its newest checkpoint."""
    if not any(folder.glob("point_cloud/iteration_*/point_cloud.ply")):
        checkpoint = latest_checkpoint(folder)
        if checkpoint is None:
            absent = "point_cloud/iteration_*/point_cloud.ply and no chkpnt*.pth"
            raise UserError(f"{folder}: no {absent}; expected {KNOWN}; check the path")
        return replace(_from_tensors(checkpoint), folder=folder)
    iteration = resolve_iteration(folder, iteration)
    source = _from_file(saved_iteration_folder(folder, iteration) / "point_cloud.ply")
    model = source.model.with_motion(load_motion(folder, iteration, "cpu"))
    path = decoder_path(folder, iteration)
    decoder = LinearDecoder.load(path).requires_grad_(False) if path.is_file() else None
    if decoder is not None and decoder.feature_dim != model.feature_dim:
        seen = f"decodes width {decoder.feature_dim}, the Gaussians have {model.feature_dim}"
        raise UserError(f"{path} {seen}; they must be of one run")
    classes = read_classes(folder, model.feature_dim)
    source = replace(source, model=model, iteration=iteration, folder=folder, decoder=decoder)
    return replace(source, classes=classes or source.classes)


def _from_file(path: Path) -> Source:
    model = GaussianModel.from_arrays(read_splats(path))
    table = read_table(path, len(model))
    labels = tuple(f"class_{index}" for index in range(model.feature_dim)) if _holds_labels(path) else ()
    return Source(path, model, layers=table, classes=labels)


def _holds_labels(path: Path) -> bool:
    """Whether the columns of features are called labels."""
    if path.suffix.lower() != ".ply":
        return False
    vertex = read_header(path).element("vertex")
    return vertex is not None and f"{LABEL_PREFIX}0" in dict(vertex.properties)


def _from_tensors(path: Path) -> Source:
    """A checkpoint or a layer file, of this or of another program."""
    content = read_content(path)
    if is_layer_content(content):
        layers = layers_of_content(path, content)
        return Source(path, _joined(path, layers), layers=LayerTable.of(layers))
    return _from_checkpoint(path, as_checkpoint(path, content))


def _from_checkpoint(path: Path, content: Mapping) -> Source:
    if content.get("motion"):
        warn(f"{path}: the motion is left out; give the model folder, whose saved Gaussians move")
    state = content["model"]
    newest = FrozenLayer(path.resolve().parent.name, _tensors(path, state["params"]))
    layers = FrozenLayers((*_earlier(path, state.get("layers") or ()), newest))
    model = _joined(path, layers, int(state["active_sh_degree"]))
    table = LayerTable.of(layers) if len(layers) > 1 else None
    scale = (content.get("legacy") or {}).get("spatial_lr_scale")
    moments = {} if table else _moments(content.get("optimizer"))
    return Source(path, model, int(content["iteration"]), layers=table, extent=scale, moments=moments)


def _earlier(path: Path, entries: Iterable[Mapping]) -> list[FrozenLayer]:
    """The frozen layers of a checkpoint, oldest first."""
    return [
        FrozenLayer(str(entry.get("name", f"layer{number}")), _tensors(path, entry.get("tensors")))
        for number, entry in enumerate(entries)
    ]


def _tensors(path: Path, params: object) -> dict[str, Tensor]:
    """The tensors of Gaussians; what a motion keeps is left out."""
    known = params if isinstance(params, Mapping) else {}
    found = {name: known[name] for name in (*PARAMETER_NAMES, FEATURE_NAME) if name in known}
    absent = [name for name in PARAMETER_NAMES if name not in found]
    if absent or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{path}: no whole Gaussians ({absent or 'values'}); expected tensors; use another checkpoint")
    return {name: value.detach().float() for name, value in found.items()}


def _joined(path: Path, layers: FrozenLayers, degree: int | None = None) -> GaussianModel:
    """One model of all layers; `degree` is the active one, None = the highest."""
    *earlier, newest = layers
    try:
        model = GaussianModel(newest.tensors).with_layers(FrozenLayers(tuple(earlier)))
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{path}: is no whole model ({' '.join(str(error).split())[:120]}); use another one") from None
    whole = whole_arrays(model).named()
    return GaussianModel({name: torch.from_numpy(value) for name, value in whole.items()}, degree)


def _moments(optimizer: object) -> dict[str, Mapping[str, Tensor]]:
    """State of Adam by name of the group."""
    if not isinstance(optimizer, Mapping) or not isinstance(optimizer.get("param_groups"), list):
        return {}
    state, found = optimizer.get("state"), {}
    for group in optimizer["param_groups"]:
        numbers = group.get("params") if isinstance(group, Mapping) else None
        entry = state.get(numbers[0]) if isinstance(state, Mapping) and isinstance(numbers, list) and numbers else None
        if isinstance(entry, Mapping) and all(isinstance(entry.get(key), Tensor) for key in ("exp_avg", "exp_avg_sq")):
            found[str(group.get("name", ""))] = entry
    return found


def _from_clip(path: Path) -> Source:
    params = read_params_npz(path)
    return Source(path, GaussianModel.from_arrays(params.arrays).with_motion(clip_motion(params)))


def _with_classes(source: Source, classes: Sequence[str]) -> Source:
    """The source with names for the channels of its labels, if it was given some."""
    if not classes:
        return source
    if len(classes) != source.model.feature_dim:
        width = source.model.feature_dim
        raise UserError(f"--classes has {len(classes)} names, {source.path} has {width} channels; give one for each")
    return replace(source, classes=tuple(classes))
