"""What is on disk about one moment of tracked Gaussians, given the moment before.

| array | shape | |
|---|---|---|
| `changed` | [ceil(K / 8)] uint8 | bits, highest first: of the K Gaussians there were, which begin or cease to move |
| `born_*` | [B, 3], [B, 4], [B, 3] float32 | first poses of B new Gaussians, numbered K to K + B - 1 |
| `step_*`, compact | [1..4, 3, M] uint8 | steps of the M Gaussians that move, rising, as `pose_codes.pack` packs them |
| `step_*`, float32 | [M, 3], [M, 4], [M, 3] float32 | new values of the M Gaussians that differ in any bit |
| `spacing` | [] float64 | world units of a position step |

`*` is means, quats_wxyz and, unless colours never change, colors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scene.motion.pose_codes import Pose, Step, pack, spacing_of, step_between, stepped, unpack
from utils.errors import UserError

PRECISIONS = ("compact", "float32")
WIDTHS = {"means": 3, "quats_wxyz": 4, "colors": 3}
BORN, STEP = "born_", "step_"

Chunk = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Moment:
    """A moment as it is read from disk."""

    pose: Pose
    moving: Tensor  # [N] bool: had a step

    @classmethod
    def before(cls, first: Pose) -> Moment:
        """There is nothing yet; `first` is whatever will come first."""
        return cls(first.rows(slice(0, 0)), torch.zeros(0, dtype=torch.bool))


def encode(before: Moment, pose: Pose, moving: Tensor, precision: str) -> dict[str, np.ndarray]:
    """The arrays of the next moment; `moving` [N] bool is for compact, float32 sees for itself what differs."""
    known, compact = len(before.pose), precision == "compact"
    old = pose.rows(slice(0, known))
    moved = moving[:known] if compact else _differs(before.pose, old)
    spacing = spacing_of(pose.means, moving)
    start, end = before.pose.rows(moved), old.rows(moved)
    steps = {name: pack(part) for name, part in step_between(start, end, spacing).named().items()} if compact else {}
    values = {name: value.numpy() for name, value in end.named().items()}
    born = {name: value.numpy() for name, value in pose.rows(slice(known, None)).named().items()}
    chunk = {"changed": np.packbits((moved ^ before.moving).numpy()), "spacing": np.array(spacing)}
    chunk |= {STEP + name: value for name, value in (steps or values).items()}
    return chunk | {BORN + name: value for name, value in born.items()}


def decode(before: Moment | None, chunk: Chunk) -> Moment:
    """The next moment from its arrays, which must have been checked; `before` is None for the first."""
    born = _pose_of(chunk, BORN)
    before = before or Moment.before(born)
    moved = _moved(before, chunk)
    pose = before.pose
    if moved.any():
        pose = pose.replaced(moved, _after_step(pose.rows(moved), chunk))
    return Moment(pose.followed_by(born), torch.cat([moved, torch.zeros(len(born), dtype=torch.bool)]))


def check_chunk(path: Path, chunk: Chunk, before: Moment | None, precision: str) -> None:
    """Raises UserError unless the arrays are those, of the kinds and shapes, that the moment before asks for."""
    known = 0 if before is None else len(before.pose)
    _check(path, chunk, {"changed": ("u1", (-(-known // 8),)), "spacing": ("f8", ())})
    num_moved = 0 if before is None else int(_moved(before, chunk).sum())
    colored = BORN + "colors" in chunk if before is None else before.pose.colors is not None
    num_born, expected = _length(chunk, BORN + "means"), {}
    for name in [name for name in WIDTHS if colored or name != "colors"]:
        expected[BORN + name] = ("f4", (num_born, WIDTHS[name]))
        packed = ("u1", (min(_length(chunk, STEP + name), 4), 3, num_moved))
        expected[STEP + name] = packed if precision == "compact" else ("f4", (num_moved, WIDTHS[name]))
    _check(path, chunk, expected)
    if extra := chunk.keys() - expected.keys() - {"changed", "spacing"}:
        raise UserError(f"{path}: has {min(extra)}, unlike the moments before; expected the same arrays; track again")


def _length(chunk: Chunk, name: str) -> int:
    """Size of the first axis; 0 where there is none."""
    return len(chunk[name]) if name in chunk and chunk[name].ndim else 0


def _check(path: Path, chunk: Chunk, expected: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    for name, (kind, shape) in expected.items():
        found = chunk.get(name)
        if found is None or found.dtype != np.dtype("<" + kind) or found.shape != shape:
            seen = "is missing" if found is None else f"is {found.dtype} {list(found.shape)}"
            raise UserError(f"{path}: {name} {seen}; expected {kind} {list(shape)}; track again from there")


def _differs(before: Pose, after: Pose) -> Tensor:
    """[N] bool: whether any bit is another one."""
    pairs = zip(before.named().values(), after.named().values(), strict=True)
    return torch.stack([(old.view(torch.int32) != new.view(torch.int32)).any(1) for old, new in pairs]).any(0)


def _moved(before: Moment, chunk: Chunk) -> Tensor:
    bits = np.unpackbits(chunk["changed"], count=len(before.pose))
    return torch.from_numpy(bits.astype(bool)) ^ before.moving


def _after_step(start: Pose, chunk: Chunk) -> Pose:
    if chunk[STEP + "means"].ndim == 2:
        return _pose_of(chunk, STEP)
    step = Step(**{name: unpack(chunk[STEP + name]) for name in start.named()})
    return stepped(start, step, float(chunk["spacing"]))


def _pose_of(chunk: Chunk, prefix: str) -> Pose:
    return Pose(**{name: torch.from_numpy(chunk[prefix + name]) for name in WIDTHS if prefix + name in chunk})
