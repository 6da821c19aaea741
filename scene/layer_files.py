"""Layers on disk: the layer file of a training, and the splat file of a model that has several.

A layer file is one dictionary of tensors and plain values, read with `weights_only=True`:

| key | what |
|---|---|
| `format`, `version` | `FORMAT_NAME`, `VERSION` |
| `xyz`, `features_dc`, `features_rest`, `scaling`, `rotation`, `opacity` | lists of tensors as stored, newest first |
| `semantic_feature` | list of feature rows [N, D], or None where a layer has none |
| `meta` | `names`, `counts`, `sh_degrees`: lists in the same order |

The tuple of the six lists alone, as the Multi-Layer 3DGS program writes it, is read too. Beside a splat file of several
layers lies `layers.json`, which says how many of its rows belong to which layer, oldest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scene.formats import SplatArrays, read_splats
from scene.formats.ply import FEATURE_PREFIX, read_layer_numbers, write_ply
from scene.gaussian_model import FEATURE_NAME, GaussianModel
from scene.layers import LIST_NAMES, FrozenLayer, FrozenLayers, layers_of_lists, padded_rest
from scene.motion import CODE_NAME
from utils.errors import UserError
from utils.files import load_torch, read_json, save_torch, write_json

FORMAT_NAME = "splat-distill layers"
VERSION = 1
LIST_KEYS = ("xyz", "features_dc", "features_rest", "scaling", "rotation", "opacity")
"""In a layer file, for `LIST_NAMES`."""
TABLE_NAME = "layers.json"
SPLAT_NAME = "point_cloud.ply"


@dataclass(frozen=True, eq=False)
class LayerTable:
    """Which rows of a splat file belong to which layer, oldest first."""

    names: tuple[str, ...]
    numbers: np.ndarray  # [N] int32, 0 = the oldest

    def rows_of(self, wanted: Sequence[str]) -> np.ndarray:
        """Indices [M] of the rows of some layers, by number or name; commas may separate them.

        Raises:
            UserError: there is no such layer.
        """
        words = [word.strip() for entry in wanted for word in entry.split(",") if word.strip()]
        chosen = [self._number(word) for word in words]
        return np.flatnonzero(np.isin(self.numbers, chosen))

    def part(self, rows: np.ndarray | slice) -> LayerTable:
        """The table of some rows (mask [N], indices [M] or slice), of which only layers with any are left."""
        present, numbers = np.unique(self.numbers[rows], return_inverse=True)
        return LayerTable(tuple(self.names[number] for number in present), numbers.astype(np.int32))

    @property
    def counts(self) -> list[int]:
        """Number of rows of each layer."""
        return np.bincount(self.numbers, minlength=len(self.names)).tolist()

    @classmethod
    def of(cls, layers: FrozenLayers) -> LayerTable:
        """The table of all layers in a row."""
        numbers = np.repeat(np.arange(len(layers), dtype=np.int32), [len(layer) for layer in layers])
        return cls(tuple(layer.name for layer in layers), numbers)

    def _number(self, word: str) -> int:
        if word.isdecimal() and int(word) < len(self.names):
            return int(word)
        if self.names.count(word) == 1:
            return self.names.index(word)
        listed = ", ".join(f"{number} {name}" for number, name in enumerate(self.names))
        raise UserError(f"--layers: there is no single layer {word!r}; expected one of: {listed}; change it")


def layer_file(model_path: Path | str, iteration: int) -> Path:
    """`<model_path>/layer_save_<iteration>.pth`."""
    return Path(model_path) / f"layer_save_{iteration}.pth"


def save_layers(path: Path | str, model: GaussianModel, name: str) -> None:
    """Writes a layer file: the model's own Gaussians as the newest layer `name`, and those that it was trained over."""
    layers = list(all_layers(model, name))[::-1]
    lists = {
        key: [layer.tensors[name].cpu().clone() for layer in layers]
        for key, name in zip(LIST_KEYS, LIST_NAMES, strict=True)
    }
    features = [layer.tensors.get(FEATURE_NAME) for layer in layers]
    meta = {
        "names": [layer.name for layer in layers],
        "counts": [len(layer) for layer in layers],
        "sh_degrees": [layer.sh_degree for layer in layers],
    }
    extra = {FEATURE_NAME: [None if rows is None else rows.cpu().clone() for rows in features], "meta": meta}
    save_torch(path, {"format": FORMAT_NAME, "version": VERSION, **lists, **extra})


def all_layers(model: GaussianModel, name: str) -> FrozenLayers:
    """The frozen layers of a model and its own Gaussians, under `name`, as the newest."""
    own = {key: value.detach() for key, value in model.params.items() if key != CODE_NAME}
    return FrozenLayers((*model.layers, FrozenLayer(name, own)))


def load_layers(path: Path | str, device: torch.device | str = "cpu") -> FrozenLayers:
    """Layers from a layer file, or from a splat file of any known format with one layer or several.

    Raises:
        UserError: one line; also for files that would have to run code (these are never executed).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a layer_save_*.pth or a splat file for --load_layer")
    is_tensors = path.suffix in (".pth", ".pt")
    return (layers_of_content(path, load_torch(path)) if is_tensors else _checked(path, _from_splats(path))).to(device)


def is_layer_content(content: object) -> bool:
    """Whether this is what a layer file holds, ours or the tuple of six lists."""
    if isinstance(content, Mapping):
        return content.get("format") == FORMAT_NAME
    return isinstance(content, tuple | list) and len(content) == len(LIST_NAMES)


def layers_of_content(path: Path, content: object) -> FrozenLayers:
    """The layers of a layer file that was read; see `load_layers`."""
    return _checked(path, _from_content(path, content))


def _checked(path: Path, layers: FrozenLayers) -> FrozenLayers:
    """The same layers, which are some, whole and finite."""
    if not layers:
        raise UserError(f"{path}: holds no layer; expected at least one; save it with --save_layer")
    try:
        for layer in layers:
            GaussianModel(layer.tensors)
    except ValueError as error:
        raise UserError(f"{path}: is no layer of Gaussians ({error}); save it again with --save_layer") from None
    _check_finite(path, layers)
    return layers


def _from_content(path: Path, content: object) -> FrozenLayers:
    names: Sequence[str] = ()
    features: Sequence[Tensor | None] = ()
    if isinstance(content, Mapping):
        _check_version(path, content)
        meta = content.get("meta")
        names = meta.get("names", ()) if isinstance(meta, Mapping) else ()
        features = content.get(FEATURE_NAME) or ()
        content = tuple(content.get(key) for key in LIST_KEYS)
    if not isinstance(content, Sequence) or not all(isinstance(entry, list | tuple) for entry in content):
        raise UserError(f"{path}: is no layer file; expected six lists of tensors; save it with --save_layer")
    try:
        layers = layers_of_lists(content, names)
        return _with_features(layers, list(features)[::-1]) if features else layers
    except ValueError as error:
        raise UserError(f"{path}: is no whole layer file ({error}); save it again with --save_layer") from None


def _check_version(path: Path, content: Mapping) -> None:
    if content.get("format") != FORMAT_NAME:
        kind = content.get("format", "something else")
        raise UserError(f"{path}: holds {kind}; expected a layer file; a checkpoint is for --start_checkpoint")
    if content.get("version") != VERSION:
        seen = f"layer file version {content.get('version')}"
        raise UserError(f"{path}: {seen}; this program reads version {VERSION}, update it")


def _with_features(layers: FrozenLayers, features: Sequence[Tensor | None]) -> FrozenLayers:
    """The layers with their feature rows; None = a layer has none."""
    pairs = zip(layers, features, strict=True)
    tensors = [
        (layer, dict(layer.tensors) if rows is None else {**layer.tensors, FEATURE_NAME: rows}) for layer, rows in pairs
    ]
    return FrozenLayers(tuple(FrozenLayer(layer.name, values) for layer, values in tensors))


def _from_splats(path: Path) -> FrozenLayers:
    """Splat files of one layer are called after their model folder, or else after themselves."""
    arrays = replace(read_splats(path), motion_code=None)
    table = read_table(path, len(arrays))
    if table is None:
        in_model = path.name == SPLAT_NAME and path.parent.name.startswith("iteration_")
        table = LayerTable(
            (path.resolve().parents[2].name if in_model else path.stem,), np.zeros(len(arrays), np.int32)
        )
    layers = []
    for number, name in enumerate(table.names):
        part = arrays.map(lambda value, rows=table.numbers == number: value[rows])
        tensors = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in part.named().items()}
        layers.append(FrozenLayer(name, tensors))
    return FrozenLayers(tuple(layers))


def _check_finite(path: Path, layers: FrozenLayers) -> None:
    for layer in layers:
        for key, value in layer.tensors.items():
            if not bool(torch.isfinite(value).all()):
                raise UserError(f"{path}: {key} of layer {layer.name} has values that are not finite; train it again")


def whole_arrays(model: GaussianModel) -> SplatArrays:
    """All layers of a model as one: oldest first, its own Gaussians last; coefficients and features are padded."""
    if not model.layers:
        return model.to_arrays()
    layers = all_layers(model, "")
    columns = {name: torch.cat([layer.tensors[name] for layer in layers]) for name in LIST_NAMES if name != "f_rest"}
    columns["f_rest"] = torch.cat([padded_rest(layer.tensors["f_rest"], layers.sh_degree) for layer in layers])
    if model.feature_dim:
        columns[FEATURE_NAME] = torch.cat([layer.features(model.feature_dim) for layer in layers])
    return SplatArrays(**{name: value.float().cpu().numpy() for name, value in columns.items()})


def write_model_ply(
    path: Path | str, model: GaussianModel, name: str, feature_prefix: str = FEATURE_PREFIX, inline: bool = False
) -> None:
    """Writes a model with all its layers as a plain splat file, and, where it has several, `layers.json` beside it.

    Args:
        path: `.ply`.
        model: its own Gaussians are the layer `name`.
        feature_prefix: see `write_ply`.
        inline: with several layers, also write the number of the layer as an int32 column `layer`.
    """
    layers = all_layers(model, name)
    table, several = LayerTable.of(layers), len(layers) > 1
    write_ply(path, whole_arrays(model), feature_prefix, table.numbers if inline and several else None)
    if several:
        write_table(Path(path).with_name(TABLE_NAME), table, [layer.sh_degree for layer in layers])


def write_table(path: Path, table: LayerTable, sh_degrees: Sequence[int] = ()) -> None:
    """Writes `layers.json` of a splat file whose rows lie layer by layer; degrees where they are known."""
    rows = [{"name": name, "count": count} for name, count in zip(table.names, table.counts, strict=True)]
    for row, degree in zip(rows, sh_degrees, strict=False):
        row["sh_degree"] = degree
    write_json(path, {"version": VERSION, "layers": rows})


def read_table(path: Path | str, count: int) -> LayerTable | None:
    """The layers of a splat file of `count` rows: from `layers.json` beside it, or its column `layer`; None = neither.

    Raises:
        UserError: they do not fit the file.
    """
    beside = Path(path).with_name(TABLE_NAME)
    if beside.is_file() and Path(path).name == SPLAT_NAME:
        names, counts = _table_rows(beside)
        numbers = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    else:
        found = read_layer_numbers(path) if Path(path).name.lower().endswith(".ply") else None
        if found is None:
            return None
        values, numbers = np.unique(found, return_inverse=True)
        names = [f"layer{value}" for value in values]
    if len(numbers) != count:
        raise UserError(f"{path}: has {count} Gaussians, its layers {len(numbers)}; they must be of one run")
    return LayerTable(tuple(names), numbers.astype(np.int32))


def _table_rows(path: Path) -> tuple[list[str], list[int]]:
    """Names and counts that `layers.json` says."""
    content = read_json(path)
    entries = content.get("layers") if isinstance(content, dict) else None
    entries = entries if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries) else []
    names, counts = [entry.get("name") for entry in entries], [entry.get("count") for entry in entries]
    if not entries or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: expected a list of layers with name and count; save the model again")
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        raise UserError(f"{path}: expected a list of layers with name and count; save the model again")
    return names, counts
