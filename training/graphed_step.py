"""Whole iterations as CUDA graphs: captured once per kind of view, replayed until the model's tensors change.

An iteration is some sixty small launches; issued one by one from Python they take longer than the GPU needs for them.
A graph issues them together. Its inputs lie at fixed places: the camera's numbers and row, the time, the picture's
bytes, the background and the learning rates (those the optimizer keeps). Its lists of (Gaussian, tile) pairs have room
for a fixed number, with a margin that is watched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scene.cameras import Camera
from scene.image_store import GroundTruth, ImageStore, StoredImage, composite
from utils.progress import warn

MAX_KINDS = 4  # graphs at a time: kinds of view beyond are not captured
WORTHWHILE = 10  # iterations between two changes of the model for which a graph is captured at once
HEADROOM = 1.5  # room for pairs, relative to the most that were seen
SLOWEST_SHRINK = 0.8  # of the room, from one capture to the next: opacity resets make it small for a while
CHECK_EVERY = 20  # iterations between two looks at how many pairs there were, each a wait for the GPU
MEASURED_VIEWS = 8  # rendered once before the first capture, to know how many pairs there are


@dataclass(frozen=True)
class Step:
    """What one iteration leaves for the report; of a graph, until the next iteration."""

    color: Tensor | None  # [3, H, W] rendered, detached; None where colours stay as they are
    truth: GroundTruth | None
    loss: Tensor  # scalar, detached
    instances: Tensor | None  # [1] int32 (Gaussian, tile) pairs, on CUDA


@dataclass(frozen=True)
class ModelState:
    """What must stay the same between capture and replay besides the kind of view."""

    version: int  # of the tensors
    num_gaussians: int
    sh_degree: int
    motion: object  # its phase
    observes: bool  # whether densification statistics are kept


Work = Callable[[Camera, Tensor | None, GroundTruth, int], Step]  # camera, background, truth, room for pairs
Measure = Callable[[Camera], int]  # camera -> pairs its image needs


class InstanceRoom:
    """How many (Gaussian, tile) pairs the lists have room for: more than were seen, in proportion to the Gaussians."""

    def __init__(self) -> None:
        self.limit = 0
        self._num_gaussians = 0

    def fit(self, seen: int, num_gaussians: int) -> None:
        """Make room for what was `seen` since the last call, should it grow as the number of Gaussians has."""
        growth = num_gaussians / max(self._num_gaussians or num_gaussians, 1)
        self.limit = max(int(HEADROOM * growth * seen), int(SLOWEST_SHRINK * growth * self.limit), 1)
        self._num_gaussians = num_gaussians

    def overflows(self, seen: int) -> bool:
        """Whether pairs had to be dropped."""
        return seen > self.limit


class GraphedSteps:
    """Runs iterations as graphs where it pays.

    Args:
        work: one iteration on the GPU, from render to optimizer step, without waiting for the device when it is given
            a room for pairs.
        measure: the exact number of pairs of one view.
        cameras: all that may be asked for; their `uid` are distinct.
        images: their pictures.
    """

    def __init__(
        self, work: Work, measure: Measure, cameras: Sequence[Camera], images: ImageStore, device: torch.device
    ) -> None:
        self._work, self._measure, self._cameras, self._images = work, measure, cameras, images
        self._numbers = torch.stack([camera.pinhole.numbers for camera in cameras]).float().to(device)  # [V, 16]
        self._row = {camera.uid: row for row, camera in enumerate(cameras)}
        self._stream = torch.cuda.Stream(device)
        self._pool = _MemoryPool(self._stream, device)
        self._peak = torch.zeros(1, dtype=torch.int32, device=device)  # most pairs since the last capture
        self._room = InstanceRoom()
        self._graphs: dict[tuple, _CapturedStep] = {}
        self._state: ModelState | None = None
        self._eager_kinds: set[tuple] = set()  # met since the model changed
        self._phases: set[object] = set()  # of the motion: the first iteration of each loads kernels and makes states
        self._age = self._last_age = 0  # iterations since the model changed, and between the two changes before

    def run(self, camera: Camera, background: Tensor | None, state: ModelState) -> Step | None:
        """One iteration on this view, or None where it is better run as it is."""
        if state != self._state:
            self._start_over(state)
        self._age += 1
        if self._age % CHECK_EVERY == 0:
            self._check()
        if state.motion not in self._phases:
            self._phases.add(state.motion)
            return None
        stored = self._images.stored(camera)
        kind = (camera.width, camera.height, stored.pixels.shape[0])
        kind += tuple(part is None for part in (*stored.parts, background))
        if kind not in self._graphs:
            if not self._is_worth_it(kind):
                self._eager_kinds.add(kind)
                return None
            self._graphs[kind] = self._capture(camera, background, stored)
        row = self._row[camera.uid]
        return self._graphs[kind].replay(View(self._numbers[row], camera.time, row), background, stored)

    def _check(self) -> None:
        """Wait for the device; if pairs had to be dropped, make more room for the next iterations."""
        seen = int(self._peak)
        if self._graphs and self._room.overflows(seen):
            warn(f"room for {self._room.limit} pairs of Gaussian and tile, {seen} came; there is more room from now on")
            self._fit(seen)

    def _is_worth_it(self, kind: tuple) -> bool:
        """Whether the model is likely to stay as it is for a while."""
        stays = self._last_age >= WORTHWHILE or kind in self._eager_kinds
        return stays and len(self._graphs) < MAX_KINDS

    def _start_over(self, state: ModelState) -> None:
        seen = int(self._peak) if self._graphs else 0
        self._state, self._last_age, self._age = state, self._age, 0
        self._eager_kinds.clear()
        self._graphs.clear()
        if self._room.limit:
            self._room.fit(seen, state.num_gaussians)
            self._peak.zero_()

    def _fit(self, seen: int) -> None:
        self._graphs.clear()
        self._room.fit(seen, self._state.num_gaussians)
        self._peak.zero_()

    def _capture(self, camera: Camera, background: Tensor | None, stored: StoredImage) -> _CapturedStep:
        if not self._room.limit:
            stride = max(1, len(self._cameras) // MEASURED_VIEWS)
            self._fit(max(self._measure(view) for view in self._cameras[::stride]))
        inputs = _Inputs.like(background, stored, self._numbers.device)

        def work() -> Step:
            truth = composite(inputs.stored, inputs.background)
            view = replace(camera, packed=inputs.numbers, time=inputs.time, row=inputs.row)
            step = self._work(view, inputs.background, truth, self._room.limit)
            torch.maximum(self._peak, step.instances, out=self._peak)
            return step

        return _CapturedStep(inputs, work, self._pool)


@dataclass(frozen=True)
class View:
    """What changes with the camera besides its picture."""

    numbers: Tensor  # [16] of the camera
    time: float  # 0..1
    row: int  # of the camera among those of training


@dataclass(frozen=True)
class _Inputs:
    """Where a graph reads what changes from view to view."""

    numbers: Tensor  # [16] of the camera
    time: Tensor  # scalar, 0..1
    row: Tensor  # [1] int64
    background: Tensor | None  # [3]
    stored: StoredImage

    @classmethod
    def like(cls, background: Tensor | None, stored: StoredImage, device: torch.device) -> _Inputs:
        """Inputs for views of this kind; `fill` comes before use."""
        places = (None if part is None else torch.empty_like(part, device=device) for part in stored.parts)
        return cls(
            numbers=torch.empty(16, device=device),
            time=torch.zeros((), device=device),
            row=torch.zeros(1, dtype=torch.int64, device=device),
            background=None if background is None else torch.empty_like(background),
            stored=StoredImage(*places),
        )

    def fill(self, view: View, background: Tensor | None, stored: StoredImage) -> None:
        """Copy one view's values, in the order of the stream."""
        self.numbers.copy_(view.numbers)
        self.time.fill_(view.time)
        self.row.fill_(view.row)
        if self.background is not None and background is not None:
            self.background.copy_(background)
        for place, part in zip(self.stored.parts, stored.parts, strict=True):
            if place is not None and part is not None:
                place.copy_(part, non_blocking=True)


class _MemoryPool:
    """Memory that successive graphs share. A graph of no other use, captured first, keeps it alive between them."""

    def __init__(self, stream: torch.cuda.Stream, device: torch.device) -> None:
        self._stream, self._handle = stream, torch.cuda.graph_pool_handle()
        self._anchor = torch.cuda.CUDAGraph()
        with self.capturing(self._anchor):
            self._anchored = torch.zeros(1, device=device)

    @contextmanager
    def capturing(self, graph: torch.cuda.CUDAGraph) -> Iterator[None]:
        """Record what is launched inside, instead of running it; other threads may go on using the GPU."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            graph.capture_begin(pool=self._handle, capture_error_mode="thread_local")
            try:
                yield
            finally:
                graph.capture_end()


class _CapturedStep:
    """One captured iteration and its places."""

    def __init__(self, inputs: _Inputs, work: Callable[[], Step], pool: _MemoryPool) -> None:
        self._inputs = inputs
        self._graph = torch.cuda.CUDAGraph()
        with pool.capturing(self._graph):
            self._step = work()

    def replay(self, view: View, background: Tensor | None, stored: StoredImage) -> Step:
        """One iteration on these inputs; the tensors of the step are overwritten by the next one."""
        self._inputs.fill(view, background, stored)
        self._graph.replay()
        return self._step
