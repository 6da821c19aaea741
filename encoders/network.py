"""Teachers that are neural networks: pictures are decoded in threads, batched by size, encoded in half precision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from encoders.base import EncodedMap, Placement, SceneImages
from utils.devices import choose_device
from utils.image_io import read_image
from utils.progress import Progress


@dataclass(frozen=True)
class Runtime:
    """How a network runs. It changes speed and rounding, not what a map means: no part of a cache's identity."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto = bf16 on a GPU, fp32 on the CPU."""
    compile: bool = False
    """Compile the network with torch.compile; every new picture size compiles again."""
    batch: int = 0
    """Pictures of one size at a time; 0 = the teacher's own choice."""
    workers: int = 4
    """Threads that read pictures."""

    def dtype(self, device: torch.device) -> torch.dtype:
        """The number format that the network computes in."""
        wants_half = self.precision == "bf16" or (self.precision == "auto" and device.type == "cuda")
        return torch.bfloat16 if wants_half else torch.float32


@dataclass(frozen=True)
class Prepared:
    """A picture on its way into the network."""

    key: str
    pixels: Tensor  # [3, h, w] float32, normalised and padded as the network wants it
    size: tuple[int, int]  # (width, height) of the picture itself, px


class NetworkTeacher(ABC):
    """A teacher that looks at one picture at a time. Subclasses say what goes in and what comes out."""

    name: str
    dim: int  # C, channels of every map
    per_picture = True
    batch: int = 1  # pictures at a time that are worth it on a GPU
    runtime: Runtime = Runtime()

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with its weights, float32, on the CPU."""

    @abstractmethod
    def prepare(self, image: np.ndarray) -> Tensor:
        """Network input [3, h, w] float32 of a picture [H, W, 3] uint8 RGB."""

    @abstractmethod
    def encode(self, network: nn.Module, batch: Tensor) -> Tensor:
        """Maps [B, C, h, w] of inputs [B, 3, H', W'], both on the network's device and in its number format."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""

    def place(self, features: Tensor, size: tuple[int, int]) -> tuple[Tensor, Placement | None]:
        """The part [C, h, w] of a map that shows the picture of (width, height) `size`, and where its cells lie.

        By default all of it, edge to edge.
        """
        return features, None

    def inputs(self, images: SceneImages) -> dict[str, Path]:
        """The pictures themselves."""
        return dict(images.paths)

    def encode_scene(self, images: SceneImages) -> Iterator[EncodedMap]:
        """See `Teacher.encode_scene`."""
        device = choose_device(self.runtime.device)
        network = self.build().eval().requires_grad_(False).to(device, self.runtime.dtype(device))
        if self.runtime.compile:
            network = torch.compile(network)
        done = 0
        with Progress(len(images.paths)) as progress:
            for group in self._batches(images):
                for prepared, features in zip(group, self._run(network, group, device), strict=True):
                    shown, placement = self.place(features, prepared.size)
                    number = torch.float16 if device.type == "cuda" else torch.float32  # as stored; half the way
                    rows = shown.permute(1, 2, 0).to(number).contiguous().cpu().numpy()
                    yield EncodedMap(prepared.key, rows, placement)
                    done += 1
                    progress.update(done)

    @torch.inference_mode()
    def _run(self, network: nn.Module, group: list[Prepared], device: torch.device) -> Tensor:
        batch = torch.stack([prepared.pixels for prepared in group])
        return self.encode(network, batch.to(device, self.runtime.dtype(device)))

    def _batches(self, images: SceneImages) -> Iterator[list[Prepared]]:
        """Neighbouring pictures of one input size, at most so many at a time."""
        most = self.runtime.batch or (self.batch if choose_device(self.runtime.device).type == "cuda" else 1)
        for _, run in groupby(self._read_ahead(images, 2 * most), key=lambda prepared: prepared.pixels.shape):
            group: list[Prepared] = []
            for prepared in run:
                group.append(prepared)
                if len(group) == most:
                    yield group
                    group = []
            if group:
                yield group

    def _read_ahead(self, images: SceneImages, count: int) -> Iterator[Prepared]:
        """Pictures in order, at most `count` of them read before they are needed."""
        with ThreadPoolExecutor(self.runtime.workers) as pool:
            waiting = []
            for key, path in images.paths.items():
                waiting.append(pool.submit(self._read, key, path))
                if len(waiting) > count:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()

    def _read(self, key: str, path: Path) -> Prepared:
        image = np.ascontiguousarray(read_image(path)[..., :3])
        return Prepared(key, self.prepare(image), (image.shape[1], image.shape[0]))
