"""Label maps made from a teacher's features: the class whose words are nearest to each pixel (Label-3DGS)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from encoders.cache import FeatureMaps
from encoders.label_maps import CLASSES_FILE, IGNORE, MAX_ID
from utils.errors import UserError
from utils.files import atomic_path, write_json

_MAX_BYTE = 254  # 255 = ignore


def label_maps_from_features(maps: FeatureMaps, text: Tensor) -> Iterator[tuple[str, np.ndarray]]:
    """Keys with ids [h, w] int64 in 0..K-1: the class whose vector has the largest cosine with the pixel's feature.

    Args:
        maps: features of the pictures; compressed ones (`maps.basis` [C, D]) are compared without decompressing.
        text: [K, C] vectors of the classes in the teacher's space, any length.
    """
    basis: Tensor | None = getattr(maps, "basis", None)
    queries = F.normalize(text.float(), dim=1)
    dim = maps.dim if basis is None else basis.shape[0]
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise UserError(f"class vectors have shape {list(text.shape)}; expected [K, {dim}], the teacher's own width")
    queries = queries if basis is None else queries @ basis.float().cpu()
    for key in maps.names:
        scores = torch.einsum("kc,chw->khw", queries, maps.get(key).float())
        yield key, scores.argmax(0).numpy()


def write_label_maps(folder: Path, items: Iterable[tuple[str, np.ndarray]], class_names: Sequence[str]) -> None:
    """Write `<key>.png` per picture and `label_classes.json`, which comes last: with it the folder is complete.

    Args:
        folder: where; made if need be.
        items: keys and ids [h, w], indices into `class_names`; -1 = ignore.
        class_names: at most 32767; up to 255 the files have 8 bits, else 16.
    """
    if not 1 <= len(class_names) <= MAX_ID + 1:
        raise UserError(f"{len(class_names)} class names; expected 1 to {MAX_ID + 1}; change the label set")
    (folder / CLASSES_FILE).unlink(missing_ok=True)
    dtype = np.uint8 if len(class_names) - 1 <= _MAX_BYTE else np.uint16
    for key, ids in items:
        ids = np.asarray(ids)
        if ids.ndim != 2 or ids.dtype.kind not in "ui" or ids.min() < IGNORE or ids.max() >= len(class_names):
            raise UserError(
                f"labels of '{key}' are {ids.dtype} {ids.shape}; expected integers [h, w] from -1 to "
                f"{len(class_names) - 1}; mend the teacher"
            )
        pixels = np.where(ids == IGNORE, np.iinfo(dtype).max, ids).astype(dtype)
        with atomic_path(folder / f"{key}.png") as temp:
            Image.fromarray(pixels).save(temp, format="PNG")
    write_json(folder / CLASSES_FILE, list(class_names))
