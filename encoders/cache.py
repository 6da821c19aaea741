"""Feature maps on disk.

Our own format: a folder with `manifest.json` and one `<key>.safetensors` per picture (tensor `features`, fp16,
[h, w, C]), read memory-mapped. Also read: folders of `<stem>_fmap_CxHxW.pt` tensors [C, h, w], as the LSeg and SAM
scripts of Feature 3DGS write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from encoders.base import image_key
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
        """Map [C, h, w] float32 on the CPU."""
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
        return checked(features.permute(2, 0, 1).float(), path)


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
        return checked(features.float(), path)


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

    def __init__(self, folder: Path, identity: dict[str, Any], dim: int) -> None:
        self.folder, self.identity, self.dim = folder, identity, dim
        self._images: dict[str, dict[str, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)

    def add(self, key: str, features: np.ndarray) -> None:
        """Store a map [h, w, C]."""
        if features.ndim != 3 or features.shape[2] != self.dim:
            raise UserError(
                f"feature map of '{key}' has shape {features.shape}; expected [h, w, {self.dim}]; mend the teacher"
            )
        if not np.isfinite(features).all() or np.abs(features).max(initial=0) > FP16_MAX:
            raise UserError(
                f"feature map of '{key}' has NaN or too large values; expected fp16 range; check the picture"
            )
        with atomic_path(self.folder / f"{key}.safetensors") as temp:
            save_file({"features": np.ascontiguousarray(features, np.float16)}, temp)
        self._images[key] = {"height": features.shape[0], "width": features.shape[1]}

    def finish(self) -> CacheFolder:
        """Write the manifest and open the folder."""
        layout = {"format": FORMAT, "version": VERSION, "dim": self.dim, "dtype": "float16", "layout": "HWC"}
        write_json(self.folder / MANIFEST, layout | self.identity | {"images": self._images})
        return CacheFolder.open(self.folder)
