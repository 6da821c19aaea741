"""Where tracked Gaussians are at every moment, on disk: a folder that grows by one file per moment.

`tracks.json` says which moments there will be; `moment_00000.npz` and so on are those that are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scene.motion.pose_codes import Pose
from scene.motion.track_chunk import BORN, PRECISIONS, WIDTHS, Moment, check_chunk, decode, encode
from scene.motion.trajectories import Trajectories
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.npz import npz_headers, read_npz, write_npz

SETUP_NAME = "tracks.json"
ANY_MOMENT = "moment_*.npz"


class TrackStore:
    """Poses of persistent Gaussians, appended moment by moment; valid after every one.

    `compact` keeps positions to 1/65536 of the box around what moves, rotations to about 0.1 degrees (as unit
    quaternions) and colours to 1/1024; first poses are exact. `float32` keeps every bit. Either way, Gaussians that
    stay where they are take no room after their first moment.
    """

    def __init__(self, folder: Path, times: Sequence[float], precision: str) -> None:
        """Use `create` or `open`."""
        self.folder = folder
        self.times = torch.tensor(times, dtype=torch.float64)  # [T] of all moments that are planned
        self.precision = precision
        self.num_steps: int = next(k for k in range(len(times) + 1) if k == len(times) or not self._path(k).is_file())
        self._last: Moment | None = None  # of the moments that are there; None = not known

    @classmethod
    def create(cls, folder: Path | str, times: Sequence[float], precision: str = "compact") -> TrackStore:
        """A store without moments.

        Args:
            folder: made if need be; must hold no moments.
            times: of all moments that are planned, rising.
            precision: compact or float32.
        """
        folder, times = Path(folder), [float(time) for time in times]
        if precision not in PRECISIONS or not _are_rising(times):
            raise ValueError(f"{precision!r} and {len(times)} times; expected one of {PRECISIONS} and rising times")
        if found := len(list(folder.glob(ANY_MOMENT))):
            advice = "truncate it to 0 or take another folder"
            raise UserError(f"{folder}: holds {found} moments; expected none in a new store; {advice}")
        write_json(folder / SETUP_NAME, {"precision": precision, "times": times})
        return cls(folder, times, precision)

    @classmethod
    def open(cls, folder: Path | str) -> TrackStore:
        """A store that is there, to read or to append to."""
        path = Path(folder) / SETUP_NAME
        if not path.is_file():
            raise UserError(f"{folder}: no {SETUP_NAME}; expected a folder of tracks; check the path")
        found = read_json(path)
        if not (
            isinstance(found, Mapping) and found.get("precision") in PRECISIONS and _are_rising(found.get("times"))
        ):
            raise UserError(f"{path}: expected a precision ({', '.join(PRECISIONS)}) and rising times; track again")
        return cls(Path(folder), found["times"], found["precision"])

    def append(
        self,
        means: Tensor,  # [N, 3] world units
        quats_wxyz: Tensor,  # [N, 4] any length
        colors: Tensor | None,  # [N, 3] RGB; None = they never change, at no moment
        moving: Tensor,  # [N] bool: the others are where they were before
    ) -> None:
        """Write the next moment. New Gaussians come last; those before keep their order.

        `float32` takes no notice of `moving` and sees for itself.
        """
        pose = Pose(_plain(means), _plain(quats_wxyz), None if colors is None else _plain(colors))
        before = self._latest() or Moment.before(pose)
        moving = moving.detach().cpu()
        self._check_room()
        self._check_pose(pose, moving, before.pose)
        chunk = encode(before, pose, moving, self.precision)
        write_npz(self._path(self.num_steps), chunk, compress=self.precision == "compact")
        self._last = decode(before, chunk)
        self.num_steps += 1

    def truncate(self, num_steps: int) -> None:
        """Forget all moments but the first `num_steps`."""
        for path in sorted(self.folder.glob(ANY_MOMENT), reverse=True):  # the last first: never a gap
            if path >= self._path(num_steps):
                path.unlink()
        if num_steps < self.num_steps:
            self.num_steps, self._last = num_steps, None

    def poses(self) -> Iterator[Pose]:
        """The moments that are there, one by one, each with the Gaussians that there were."""
        return (moment.pose for moment in self._moments())

    def read(self, device: torch.device | str = "cpu") -> Trajectories:
        """All moments that are there. Before its birth a Gaussian is where it will be born."""
        if self.num_steps == 0:
            raise UserError(f"{self.folder}: holds no moment; expected at least one; track first")
        headers = [npz_headers(self._path(index)) for index in range(self.num_steps)]
        count = sum(header[BORN + "means"][0][0] for header in headers if header.get(BORN + "means", ((),))[0])
        whole = {name: torch.empty(self.num_steps, count, WIDTHS[name]) for name in WIDTHS if BORN + name in headers[0]}
        known = 0
        for index, pose in enumerate(self.poses()):
            for name, value in pose.named().items():
                whole[name][index, : len(pose)] = value
                whole[name][:index, known : len(pose)] = value[known:]
            known = len(pose)
        return Trajectories(self.times[: self.num_steps], **whole).to(device)

    def _path(self, index: int) -> Path:
        return self.folder / f"moment_{index:05d}.npz"

    def _moments(self) -> Iterator[Moment]:
        moment = None
        for index in range(self.num_steps):
            chunk = read_npz(self._path(index))
            check_chunk(self._path(index), chunk, moment, self.precision)
            moment = decode(moment, chunk)
            yield moment

    def _latest(self) -> Moment | None:
        """The last moment; None where there is none."""
        if self._last is None:
            for moment in self._moments():
                self._last = moment
        return self._last

    def _check_room(self) -> None:
        if self.num_steps == len(self.times):
            raise ValueError(f"{self.folder}: all {self.num_steps} moments are there; expected fewer; truncate first")
        if len(list(self.folder.glob(ANY_MOMENT))) > self.num_steps:
            missing = self._path(self.num_steps).name
            raise UserError(f"{self.folder}: {missing} is missing, later ones are there; copy it again or truncate")

    def _check_pose(self, pose: Pose, moving: Tensor, before: Pose) -> None:
        """Raises ValueError where shapes are wrong and UserError where numbers are."""
        shapes = {name: tuple(value.shape) for name, value in pose.named().items()}
        expected = {name: (len(pose), WIDTHS[name]) for name in before.named()}
        if shapes != expected or len(pose) < max(1, len(before)):
            wanted = f"{expected} of at least {max(1, len(before))} Gaussians"
            raise ValueError(f"moment {self.num_steps} has {shapes}; expected {wanted}, as before")
        if moving.dtype != torch.bool or moving.shape != (len(pose),):
            raise ValueError(f"moving is {moving.dtype} {list(moving.shape)}; expected bool [{len(pose)}]")
        if self.precision == "compact" and not all(value.isfinite().all() for value in pose.named().values()):
            raise UserError(f"moment {self.num_steps}: poses are not finite; expected numbers; use smaller steps")


def _plain(values: Tensor) -> Tensor:
    """A copy [N, D] that nobody else changes."""
    return torch.empty(values.shape, dtype=torch.float32).copy_(values.detach())


def _are_rising(times: object) -> bool:
    if not isinstance(times, list) or not times or not all(isinstance(time, Real) for time in times):
        return False
    values = np.array(times, np.float64)
    return bool(np.isfinite(values).all() and (np.diff(values) > 0).all())
