"""Arrays from files of strangers: NumPy files without pickles, shapes and numbers checked."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from scene.scene_info import DatasetError


def load_array(path: Path) -> np.ndarray:
    """The array of a `.npy` file; nothing in the file is executed."""
    array = _load(path)
    if not isinstance(array, np.ndarray):
        raise DatasetError(f"{path}: holds several arrays; expected a single one (.npy), write it again")
    return array


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name; nothing in the file is executed."""
    arrays = _load(path)
    if not isinstance(arrays, dict):
        raise DatasetError(f"{path}: holds a single array; expected named arrays (.npz), write it again")
    return arrays


def checked_array(value: object, shape: tuple[int | None, ...], what: str) -> np.ndarray:
    """Finite float64 numbers of a shape.

    Args:
        value: array, nested lists or a number; None = missing.
        shape: wanted shape; None = any size.
        what: file and entry, for messages.

    Raises:
        DatasetError: other shape, no numbers, NaN or infinite values.
    """
    sizes = "x".join("n" if size is None else str(size) for size in shape)
    expected = f"{sizes} finite numbers" if shape else "a finite number"
    if value is None:
        raise DatasetError(f"{what} is missing; expected {expected}, add it")
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DatasetError(f"{what}: holds no numbers; expected {expected}, write it again") from None
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits:
        raise DatasetError(f"{what}: has shape {list(array.shape)}; expected {expected}, write it again")
    if not np.isfinite(array).all():
        raise DatasetError(f"{what}: holds NaN or infinite values; expected {expected}, correct it")
    return array


def _load(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; expected a NumPy file, copy the data set again")
    try:
        loaded = np.load(path, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, MemoryError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:80]
        raise DatasetError(f"{path}: not a whole NumPy file of plain numbers ({reason}); copy it again") from error
