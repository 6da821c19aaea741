"""Filling a cache of feature maps; resumable, and shared by processes (`torchrun`) where pictures are independent."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from encoders.base import EncodedMap, SceneImages, Teacher
from encoders.cache import CacheFolder, CacheWriter
from encoders.compression import FILE_NAME as BASIS_FILE
from encoders.compression import fit_basis, load_axes, shorten
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.progress import say

IDENTITY = "identity.json"  # of the maps in a folder that is being filled
BASIS_PICTURES = 24
WRITERS = 4  # threads that write maps
PATIENCE_SEC = 3600.0  # that other processes wait for the first one


@dataclass(frozen=True)
class Share:
    """Which part of the pictures this process encodes."""

    rank: int = 0
    count: int = 1

    @classmethod
    def from_environment(cls) -> Share:
        """As `torchrun` says; all of them without it."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    def of(self, keys: Sequence[str]) -> list[str]:
        """Every `count`-th key."""
        return list(keys)[self.rank :: self.count]


def identity_of(teacher: Teacher, images: SceneImages) -> dict[str, Any]:
    """What decides the content of a cache: teacher, options, training pictures, size and time of every input.

    Training pictures do not matter to a teacher that looks at one picture at a time.
    """
    inputs = {}
    for key, path in teacher.inputs(images).items():
        status = path.stat()
        inputs[key] = [status.st_size, status.st_mtime_ns]
    train = [] if teacher.per_picture else sorted(images.train)
    return {"teacher": teacher.name, "options": teacher.options(), "train": train, "inputs": inputs}


def build_cache(
    teacher: Teacher, images: SceneImages, folder: Path, *, width: int = 0, share: Share | None = None
) -> CacheFolder | None:
    """Run the teacher on the pictures and store the maps in `folder`; what an earlier run finished is kept.

    Args:
        teacher: whose maps.
        images: all pictures of the scene.
        folder: made if missing; maps of another identity in it are deleted.
        width: K of a truncated basis to store the maps in; 0 = as they are.
        share: the part of this process; None = as `torchrun` says.

    Returns:
        The cache, or None when other processes are not done yet: the last of them completes it.
    """
    start, share = time.monotonic(), share or Share.from_environment()
    if not teacher.per_picture and (share.count > 1 or width):
        raise UserError(
            f"teacher '{teacher.name}' looks at all pictures at once; expected one process and no --pca; leave both out"
        )
    identity = identity_of(teacher, images) | ({"width": width} if width else {})
    writer = CacheWriter(folder, identity)
    if share.rank == 0:
        _begin(writer, identity, keep=teacher.per_picture)
    else:
        _wait_for(folder / IDENTITY, lambda: read_json(folder / IDENTITY) == identity)
    axes = _axes(teacher, images, folder, width, share)
    missing = [key for key in share.of(list(images.paths)) if not writer.has(key)]
    _announce(teacher, images, missing, share)
    with ThreadPoolExecutor(WRITERS) as pool:
        waiting: deque[Future] = deque()
        for encoded in _encoded(teacher, images, missing):
            shown = encoded if axes is None else encoded._replace(features=shorten(encoded.features, axes))
            waiting.append(pool.submit(writer.add, shown))
            if len(waiting) > WRITERS:
                waiting.popleft().result()
        for future in waiting:
            future.result()
    if not all(writer.has(key) for key in images.paths):
        say(f"features: part {share.rank + 1} of {share.count} is done; the last part completes {folder}")
        return None
    maps = writer.finish(list(images.paths))
    seconds = time.monotonic() - start
    rate = f", {len(missing) / seconds:.2f} pictures a second" if missing else ""
    say(f"features: {len(maps.names)} maps of {maps.dim} channels in {folder} after {seconds:.1f} s{rate}")
    return maps


def _begin(writer: CacheWriter, identity: dict[str, Any], keep: bool) -> None:
    """Clear the folder unless it holds a part of the same work."""
    path = writer.folder / IDENTITY
    if not (keep and path.is_file() and read_json(path) == identity):
        writer.clear()
        write_json(path, identity)


def _wait_for(path: Path, is_there) -> None:
    end = time.monotonic() + PATIENCE_SEC
    while not (path.is_file() and is_there()):
        if time.monotonic() > end:
            raise UserError(f"{path} did not appear; expected the first process to write it; look at its messages")
        time.sleep(0.5)


def _axes(teacher: Teacher, images: SceneImages, folder: Path, width: int, share: Share) -> Tensor | None:
    """The basis [C, K] to store maps in, fitted by the first process to an even choice of pictures."""
    if not width:
        return None
    if share.rank == 0 and not (folder / BASIS_FILE).is_file():
        keys = sorted(images.train) or list(images.paths)
        chosen = keys[:: -(-len(keys) // BASIS_PICTURES)]
        basis = fit_basis(_encoded(teacher, images, chosen), len(chosen), width)
        basis.save(folder)
        say(
            f"features: {width} of {basis.axes.shape[0]} channels explain {100 * basis.explained:.2f} % "
            f"(mean cosine {basis.cosine:.4f}, pixels of {len(chosen)} pictures)"
        )
    _wait_for(folder / BASIS_FILE, lambda: True)
    return load_axes(folder)


def _encoded(teacher: Teacher, images: SceneImages, keys: Sequence[str]) -> Iterator[EncodedMap]:
    if not keys:
        return iter(())
    some = {key: images.paths[key] for key in keys} if teacher.per_picture else images.paths
    return teacher.encode_scene(replace(images, paths=some))


def _announce(teacher: Teacher, images: SceneImages, missing: Sequence[str], share: Share) -> None:
    done = len(share.of(list(images.paths))) - len(missing)
    resumed = f", {done} are done already" if done else ""
    part = f" (part {share.rank + 1} of {share.count})" if share.count > 1 else ""
    say(f"features: the {teacher.name} teacher works on {len(missing)} pictures{resumed}{part}")
