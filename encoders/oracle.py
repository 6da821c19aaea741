"""`-f oracle`, `-f oracle_words`: true labels -> fixed unit vectors. For tests and benchmarks on scenes with `labels/`.

`oracle`: every label id gets one random vector of an orthonormal set (of unit vectors once there are more ids than
channels), the same in every scene. `oracle_words`: the vector of a label is that of its name in `labels/classes.json`,
and any word has one: a random unit vector drawn by the word itself. Clicks and words then have exact expected masks,
which no teacher for photos can give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from encoders.base import IGNORE_LABEL, EncodedMap, SceneImages, label_path, register_teacher
from encoders.record import TeacherRecord
from encoders.text import register_text
from utils.errors import UserError
from utils.files import read_json
from utils.image_io import read_image

NUM_LABELS = IGNORE_LABEL  # ids below it; it gets the zero vector


def label_vectors(dim: int, seed: int = 0) -> np.ndarray:
    """Unit vectors [255, dim] float32; any `dim` consecutive ids starting at a multiple of `dim` are orthonormal."""
    rng = np.random.default_rng(seed)
    blocks = [np.linalg.qr(rng.normal(size=(dim, dim)))[0] for _ in range(-(-NUM_LABELS // dim))]
    return np.concatenate(blocks)[:NUM_LABELS].astype(np.float32)


@register_teacher("oracle")
class OracleTeacher:
    """Ground-truth label ids as features.

    Args:
        dim: channels C.
        noise: standard deviation of Gaussian noise added per pixel and channel.
        flips: share of the labels of every picture that are taken for another one of its labels, all over it.
        seed: of the vectors, the noise and the flips.
    """

    name = "oracle"
    per_picture = True

    def __init__(self, dim: int = 16, noise: float = 0.0, flips: float = 0.0, seed: int = 0) -> None:
        if not 1 <= dim <= 1024 or noise < 0 or not 0 <= flips <= 1:
            raise UserError(
                f"oracle: dim is {dim}, noise {noise}, flips {flips}; expected 1 <= dim <= 1024, noise >= 0 and "
                "0 <= flips <= 1; change them"
            )
        self.dim, self.noise, self.flips, self.seed = dim, noise, flips, seed

    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""
        return {"dim": self.dim, "noise": self.noise, "flips": self.flips, "seed": self.seed}

    def inputs(self, images: SceneImages) -> dict[str, Path]:
        """The label map of every picture: `labels/<key>.png`, or named by the last part of the key."""
        folder = images.source / "labels"
        if not folder.is_dir():
            raise UserError(f"{folder} is missing; the oracle teacher needs true labels; use -f classical for photos")
        return {key: _label_file(folder, key) for key in images.paths}

    def encode_scene(self, images: SceneImages) -> Iterator[EncodedMap]:
        """See `Teacher.encode_scene`; maps have the size of the label maps."""
        vectors = np.concatenate([self.vectors(images.source), np.zeros((1, self.dim), np.float32)])
        for key, path in self.inputs(images).items():
            rng = np.random.default_rng((self.seed, *key.encode()))
            features = vectors[flipped(read_labels(path), self.flips, rng)]
            if self.noise:
                features = features + rng.normal(0, self.noise, features.shape).astype(np.float32)
            yield EncodedMap(key, features)

    def vectors(self, source: Path) -> np.ndarray:
        """Unit vectors [255, dim] of all label ids."""
        return label_vectors(self.dim, self.seed)


@register_teacher("oracle_words")
class OracleWordsTeacher(OracleTeacher):
    """The same with the vectors of words; see `OracleTeacher` for the options."""

    name = "oracle_words"

    def __init__(self, dim: int = 64, noise: float = 0.0, flips: float = 0.0, seed: int = 0) -> None:
        super().__init__(dim, noise, flips, seed)

    def vectors(self, source: Path) -> np.ndarray:
        """Vectors [255, dim] of the names in `labels/classes.json`; zeros for ids without a name."""
        path = source / "labels" / "classes.json"
        if not path.is_file():
            raise UserError(f"{path} is missing; expected the names of the labels, {{id: name}}; use -f oracle")
        rows = np.zeros((NUM_LABELS, self.dim), np.float32)
        for label, name in read_json(path).items():
            rows[int(label)] = word_vector(name, self.dim, self.seed)
        return rows


@register_text("oracle_words")
class OracleWords:
    """The text side of `oracle_words`: any text has a vector, unlike texts nearly orthogonal ones."""

    def __init__(self, record: TeacherRecord, weights: str = "") -> None:
        self.dim, self._seed = record.dim, int(record.options.get("seed", 0))

    def encode(self, texts: Sequence[str]) -> Tensor:
        """See `TextEncoder.encode`."""
        return torch.from_numpy(np.stack([word_vector(text, self.dim, self._seed) for text in texts]))


def word_vector(word: str, dim: int, seed: int = 0) -> np.ndarray:
    """A random unit vector [dim] float32 that depends on the word only."""
    vector = np.random.default_rng((seed, *word.strip().lower().encode())).normal(size=dim)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def flipped(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Label map [H, W] in which each label becomes, with probability `share`, another one of the picture's labels."""
    present = np.unique(labels[labels != IGNORE_LABEL])
    if share == 0 or len(present) < 2:
        return labels
    table = np.arange(IGNORE_LABEL + 1, dtype=labels.dtype)
    for label in present[rng.random(len(present)) < share]:
        table[label] = rng.choice(present[present != label])
    return table[labels]


def read_labels(path: Path) -> np.ndarray:
    """Label map [H, W] uint8 from a grey PNG."""
    pixels = read_image(path)
    if (pixels[..., 0] != pixels[..., 1]).any() or (pixels[..., 0] != pixels[..., 2]).any():
        raise UserError(f"{path} is a colour picture; expected label ids as a single-channel PNG; convert it")
    return pixels[..., 0]


def _label_file(folder: Path, key: str) -> Path:
    path = label_path(folder, key)
    if path is None:
        raise UserError(f"{folder / key}.png is missing; every picture needs its label map; use -f classical or add it")
    return path
