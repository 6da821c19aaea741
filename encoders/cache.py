"""Feature maps on disk.

Our own format: a folder with `manifest.json` and one `<key>.safetensors` per picture (tensor `features`, fp16,
[h, w, C]), read memory-mapped. Also read: folders of `<stem>_fmap_CxHxW.pt` tensors [C, h, w], as the LSeg and SAM
scripts of Feature 3DGS write them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from encoders.base import EncodedMap, Placement, image_key
from encoders.compression import FILE_NAME as BASIS_FILE
from encoders.compression import load_axes
from utils.errors import UserError
from utils.files import atomic_path, load_torch, read_json, write_json

MANIFEST = "manifest.json"
FORMAT, VERSION = "splat-distill features", 1
LEGACY_NAME = re.compile(r"(?P<key>.+)_fmap_CxHxW\.pt")
FP16_MAX = float(np.finfo(np.float16).max)


class FeatureMaps(Protocol):
    """Teacher features of the pictures of a scene."""

    @property
    def dim(self) -> int:
        """C, channels of every map."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of the pictures that have a map, sorted."""
        ...

    def has(self, image_name: str) -> bool:
        """Whether there is a map for a picture, by its name or key."""
        ...

    def get(self, image_name: str) -> Tensor:
        """Map [C, h, w] on the CPU, in the precision in which it is stored."""
        ...

    def placement(self, image_name: str) -> Placement | None:
        """Where the map's cells lie on the picture; None = its corner cells lie on the corner pixels."""
        ...

    @property
    def basis(self) -> Tensor | None:
        """W [teacher's channels, C] when the maps are shortened to W^T f, else None."""
        ...

    @property
    def record_options(self) -> dict[str, Any]:
        """The options that the teacher ran with, as far as they are known."""
        ...


def find_key(image_name: str, names: Iterable[str]) -> str | None:
    """The key for an image name: the full key, else its last part (`a__b` -> `b`), else the one that ends in it."""
    known = names if isinstance(names, (dict, set, frozenset)) else set(names)
    key = image_key(image_name)
    short = key.split("__")[-1]
    for candidate in (key, short):
        if candidate in known:
            return candidate
    longer = [name for name in known if name.endswith(f"__{key}")]
    return longer[0] if len(longer) == 1 else None


def _require_key(image_name: str, names: Iterable[str], folder: Path) -> str:
    key = find_key(image_name, names)
    if key is None:
        raise UserError(
            f"{folder} has no feature map for image '{image_name}'; expected one per picture; make them anew"
        )
    return key


@dataclass(frozen=True)
class CacheFolder:
    """Our own format, opened for reading."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> CacheFolder:
        """Read and check the manifest."""
        manifest = read_json(folder / MANIFEST)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
            raise UserError(
                f"{folder / MANIFEST} is no manifest of a feature cache of version {VERSION}; delete the folder"
            )
        images, dim = manifest.get("images"), manifest.get("dim")
        if not isinstance(images, dict) or not images or not isinstance(dim, int):
            raise UserError(
                f"{folder / MANIFEST} lacks 'images' or 'dim'; expected both; delete the folder to make it anew"
            )
        return cls(folder, manifest)

    @property
    def dim(self) -> int:
        """See `FeatureMaps.dim`."""
        return self.manifest["dim"]

    @property
    def names(self) -> tuple[str, ...]:
        """See `FeatureMaps.names`."""
        return tuple(sorted(self.manifest["images"]))

    def has(self, image_name: str) -> bool:
        """See `FeatureMaps.has`."""
        return find_key(image_name, self.manifest["images"]) is not None

    def get(self, image_name: str) -> Tensor:
        """See `FeatureMaps.get`."""
        key = _require_key(image_name, self.manifest["images"], self.folder)
        path = self.folder / f"{key}.safetensors"
        try:
            with safe_open(path, framework="pt") as file:
                features = file.get_tensor("features")
        except (SafetensorError, FileNotFoundError) as error:
            reason = " ".join(str(error).split())[:80]
            raise UserError(
                f"{path} is not a readable feature map ({reason}); delete {self.folder} to make it anew"
            ) from None
        entry = self.manifest["images"][key]
        expected = (entry["height"], entry["width"], self.dim)
        if tuple(features.shape) != expected:
            raise UserError(
                f"{path} has shape {tuple(features.shape)}; expected {expected} (h, w, C); delete the folder"
            )
        return checked(features.permute(2, 0, 1), path)

    def placement(self, image_name: str) -> Placement:
        """See `FeatureMaps.placement`."""
        entry = self.manifest["images"][_require_key(image_name, self.manifest["images"], self.folder)]
        if "placement" in entry:
            return Placement(*entry["placement"])
        return Placement(0.5 / entry["width"], 1 / entry["width"], 0.5 / entry["height"], 1 / entry["height"])

    @cached_property
    def basis(self) -> Tensor | None:
        """See `FeatureMaps.basis`."""
        return load_axes(self.folder)

    @property
    def record_options(self) -> dict[str, Any]:
        """See `FeatureMaps.record_options`."""
        return self.manifest.get("options", {})


@dataclass(frozen=True)
class LegacyFolder:
    """A folder of `<stem>_fmap_CxHxW.pt` files, opened for reading."""

    folder: Path
    files: dict[str, Path]
    dim: int

    @classmethod
    def open(cls, folder: Path) -> LegacyFolder:
        """List the files and take C from the first one in order."""
        matches = [(LEGACY_NAME.fullmatch(path.name), path) for path in sorted(folder.glob("*.pt"))]
        files = {image_key(match["key"]): path for match, path in matches if match}
        if not files:
            raise UserError(
                f"{folder} has no *_fmap_CxHxW.pt file; expected one per picture; run the teacher's extraction"
            )
        return cls(folder, files, int(read_legacy(next(iter(files.values()))).shape[0]))

    @property
    def names(self) -> tuple[str, ...]:
        """See `FeatureMaps.names`."""
        return tuple(sorted(self.files))

    def has(self, image_name: str) -> bool:
        """See `FeatureMaps.has`."""
        return find_key(image_name, self.files) is not None

    def get(self, image_name: str) -> Tensor:
        """See `FeatureMaps.get`."""
        path = self.files[_require_key(image_name, self.files, self.folder)]
        features = read_legacy(path)
        if features.shape[0] != self.dim:
            raise UserError(
                f"{path} has {features.shape[0]} channels; expected {self.dim} as in the first file; extract it anew"
            )
        return checked(features, path)

    def placement(self, image_name: str) -> None:
        """See `FeatureMaps.placement`; Feature 3DGS resizes with aligned corners."""
        return None

    @property
    def basis(self) -> None:
        """See `FeatureMaps.basis`."""
        return None

    @property
    def record_options(self) -> dict[str, Any]:
        """See `FeatureMaps.record_options`."""
        return {}


def open_folder(folder: Path) -> FeatureMaps | None:
    """The feature maps in a folder, of either format; None when it holds none."""
    if (folder / MANIFEST).is_file():
        return CacheFolder.open(folder)
    return LegacyFolder.open(folder) if next(folder.glob("*_fmap_CxHxW.pt"), None) else None


def read_legacy(path: Path) -> Tensor:
    """The memory-mapped tensor [C, h, w] of a legacy file; pickled objects are refused."""
    tensor = load_torch(path, mmap=True)
    if not isinstance(tensor, Tensor):
        raise UserError(f"{path} holds a {type(tensor).__name__}; expected one tensor [C, h, w]; extract it anew")
    if tensor.ndim == 4 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or 0 in tensor.shape or not tensor.is_floating_point():
        raise UserError(f"{path} is {tensor.dtype} {tuple(tensor.shape)}; expected floats [C, h, w]; extract it anew")
    return tensor


def checked(features: Tensor, path: Path) -> Tensor:
    """The map itself, or an error if it has NaN or infinite values."""
    if not torch.isfinite(features).all():
        raise UserError(f"{path} has NaN or infinite features; expected finite numbers; extract it anew")
    return features


class CacheWriter:
    """Writes one file per picture; the manifest comes last, so a folder with a manifest is complete."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder, self.identity = folder, identity
        folder.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Remove all maps and the manifest."""
        (self.folder / MANIFEST).unlink(missing_ok=True)
        for path in [*self.folder.glob("*.safetensors"), self.folder / BASIS_FILE]:
            path.unlink(missing_ok=True)

    def has(self, key: str) -> bool:
        """Whether the map of a picture is there."""
        return self._path(key).is_file()

    def add(self, encoded: EncodedMap) -> None:
        """Store a map, and where its cells lie."""
        key, features, placement = encoded
        if features.ndim != 3 or 0 in features.shape:
            raise UserError(f"feature map of '{key}' has shape {features.shape}; expected [h, w, C]; mend the teacher")
        if not np.isfinite(features).all() or np.abs(features).max(initial=0) > FP16_MAX:
            raise UserError(
                f"feature map of '{key}' has NaN or too large values; expected fp16 range; check the picture"
            )
        metadata = {} if placement is None else {"placement": json.dumps(placement)}
        with atomic_path(self._path(key)) as temp:
            save_file({"features": np.ascontiguousarray(features, np.float16)}, temp, metadata)

    def finish(self, keys: Iterable[str]) -> CacheFolder:
        """Write the manifest of these pictures, all of them stored, and open the folder."""
        images = {key: _entry(self._path(key)) for key in keys}
        widths = {entry.pop("channels") for entry in images.values()}
        if len(widths) != 1:
            raise UserError(f"{self.folder} has maps of {sorted(widths)} channels; expected one width; delete it")
        layout = {"format": FORMAT, "version": VERSION, "dim": widths.pop(), "dtype": "float16", "layout": "HWC"}
        write_json(self.folder / MANIFEST, layout | self.identity | {"images": images})
        return CacheFolder.open(self.folder)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def _entry(path: Path) -> dict[str, Any]:
    """What the manifest says about a stored map."""
    with safe_open(path, framework="np") as file:
        height, width, channels = file.get_slice("features").get_shape()
        placement = (file.metadata() or {}).get("placement")
    entry = {"height": height, "width": width, "channels": channels}
    return entry | ({} if placement is None else {"placement": json.loads(placement)})
