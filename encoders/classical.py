"""`-f classical`: the scene-spectral teacher. No weights, no network, no download; deterministic.

All training pictures are cut into superpixels; one graph joins those that touch in a picture and those that look alike
in any picture; the leading eigenvectors of that graph are the features (a joint Laplacian eigenmap). On hand-outlined
photos a click finds its object far better than with colour, texture filters or networks without training.

Good for: selecting and segmenting by click, offline, on real photos. Not good for: words (it knows none, so no text
queries), objects made of different materials (it may split them), neighbours of one colour (it may join them). Its
channels mean nothing outside the scene they were computed for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from encoders.base import EncodedMap, SceneImages, register_teacher
from encoders.classical_net.descriptors import REFERENCE_SIDE, SEGMENTS, Regions, describe
from encoders.classical_net.graph import SceneGraph, build_graph, extend
from utils.errors import UserError
from utils.image_io import read_image
from utils.progress import Progress, say

RECIPE = 1  # raise it when the same pictures would give other features: old caches are then made anew
SMALLEST_SIDE = 320  # px; smaller pictures are enlarged, or superpixels could not follow small objects
GRID_SIDE = 240  # long side of the stored maps
MAX_GRAPH_IMAGES = 300  # with more, the graph is built on an even choice and extended to the others
ADVICE = (
    "classical teacher: groups by look and adjacency in this scene, made for clicks; "
    "it knows no words, may split an object by material or join neighbours of one colour"
)


@register_teacher("classical")
class ClassicalTeacher:
    """Scene-spectral features.

    Args:
        dim: channels C, number of eigenvectors.
        segments: superpixels of a picture of 960 px; the number goes with the square root of the working size.
    """

    name = "classical"
    per_picture = False

    def __init__(self, dim: int = 32, segments: int = SEGMENTS) -> None:
        if not 1 <= dim <= 128 or not 16 <= segments <= 5000:
            raise UserError(
                f"classical: dim is {dim} and segments {segments}; "
                "expected 1 <= dim <= 128 and 16 <= segments <= 5000; change them"
            )
        self.dim, self.segments = dim, segments

    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""
        return {"dim": self.dim, "segments": self.segments, "recipe": RECIPE}

    def inputs(self, images: SceneImages) -> dict[str, Path]:
        """The pictures themselves."""
        return dict(images.paths)

    def encode_scene(self, images: SceneImages) -> Iterator[EncodedMap]:
        """See `Teacher.encode_scene`; maps have a long side of 240, or the picture's if that is less."""
        say(ADVICE)
        chosen = self._graph_keys(images)
        with Progress(len(images.paths)) as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
            described = {}
            for key, result in zip(chosen, pool.map(lambda k: self._describe(images.paths[k]), chosen), strict=True):
                described[key] = result
                progress.update(len(described))
            graph = build_graph([regions for regions, _ in described.values()], self.dim)
            say(f"graph of {len(graph.nodes)} superpixels in {len(chosen)} pictures solved")
            yield from self._graph_maps(described, graph)
            yield from self._extended_maps(images, [k for k in images.paths if k not in described], graph, pool)
            progress.update(len(images.paths))

    def _graph_keys(self, images: SceneImages) -> list[str]:
        keys = [key for key in images.paths if key in images.train]
        if not keys:
            raise UserError("classical teacher: no training picture was given; expected one or more; check the split")
        if len(keys) > MAX_GRAPH_IMAGES:
            keys = [keys[i] for i in np.linspace(0, len(keys) - 1, MAX_GRAPH_IMAGES).round().astype(int)]
        return keys

    def _describe(self, path: Path) -> tuple[Regions, tuple[int, int]]:
        """Regions and the size (width, height) of the map to store."""
        image = read_image(path)
        height, width = image.shape[:2]
        working_side = int(np.clip(max(height, width), SMALLEST_SIDE, REFERENCE_SIDE))
        shrink = min(1.0, GRID_SIDE / max(height, width))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        segments = round(self.segments * (working_side / REFERENCE_SIDE) ** 0.5)
        return describe(image, working_side, segments), size

    @staticmethod
    def _graph_maps(described: dict, graph: SceneGraph) -> Iterator[EncodedMap]:
        start = 0
        for key, (regions, size) in described.items():
            end = start + len(regions.descriptors)
            yield EncodedMap(key, paint(regions.labels, graph.embeddings[start:end], size))
            start = end

    def _extended_maps(
        self, images: SceneImages, keys: Sequence[str], graph: SceneGraph, pool: ThreadPoolExecutor
    ) -> Iterator[EncodedMap]:
        tree = cKDTree(graph.nodes)
        for key, (regions, size) in zip(keys, pool.map(lambda k: self._describe(images.paths[k]), keys), strict=True):
            yield EncodedMap(key, paint(regions.labels, extend(graph, tree, regions), size))


def paint(labels: np.ndarray, embeddings: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Broadcast superpixel embeddings [R, C] to a map [h, w, C] of `size` (width, height).

    A cell is the mean over the pixels whose centre it covers; transparent pixels (label -1) count as zero vectors,
    as in a rendering. So cells inside a superpixel have length 1 and cells on borders less.
    """
    height, width = labels.shape
    columns = ((np.arange(width) + 0.5) * size[0] / width).astype(int)
    rows = ((np.arange(height) + 0.5) * size[1] / height).astype(int)
    cells = (rows[:, None] * size[0] + columns).reshape(-1)
    inside = labels.reshape(-1) >= 0
    entries = (np.ones(int(inside.sum())), (cells[inside], labels.reshape(-1)[inside]))
    cover = csr_matrix(entries, shape=(size[0] * size[1], len(embeddings)))
    count = np.bincount(cells, minlength=size[0] * size[1])[:, None]
    return (cover @ embeddings / count).astype(np.float32).reshape(size[1], size[0], -1)
