"""Where selected Gaussians are at every moment (`tracks.npz`), and how well they follow true points."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from gaussian_renderer.anchors import local_points, world_points
from scene.gaussian_model import GaussianModel
from utils.errors import UserError
from utils.files import atomic_path
from utils.track_metrics import track_metrics

SAME_TIME = 1e-4  # of the whole duration, within which two moments are one


@dataclass(frozen=True)
class Tracks:
    """Paths of M Gaussians over T moments."""

    times: Tensor  # [T] rising, 0..1
    indices: Tensor  # [M] rows of the model
    labels: Tensor  # [M] number of the selection, from 1
    means: Tensor  # [T, M, 3] world units
    quats_wxyz: Tensor  # [T, M, 4]

    @classmethod
    @torch.no_grad()
    def of(cls, model: GaussianModel, numbers: Tensor, indices: Tensor, times: Sequence[float]) -> Tracks:
        """The Gaussians `indices` [M] of a model at these times; `numbers` [N] are the selections of all."""
        part = model.subset(indices)
        poses = [(moment.means, moment.quats_wxyz) for moment in map(part.at, times)]
        means, quats = (torch.stack(values) for values in zip(*poses, strict=True))
        return cls(torch.tensor(times, dtype=torch.float64), indices, numbers[indices], means, quats)

    def save(self, path: Path) -> None:
        """Write `tracks.npz`."""
        arrays = {name: value.cpu().numpy() for name, value in vars(self).items()}
        with atomic_path(path) as temp, open(temp, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> Tracks:
        """Read `tracks.npz`."""
        arrays = read_arrays(path, ("times", "indices", "labels", "means", "quats_wxyz"))
        moments, count = arrays["times"].shape[:1], arrays["indices"].shape[:1]
        _check_shape(path, arrays, "means", (*moments, *count, 3))
        _check_shape(path, arrays, "quats_wxyz", (*moments, *count, 4))
        return cls(**{name: torch.from_numpy(value) for name, value in arrays.items()})


@dataclass(frozen=True)
class TrueTracks:
    """Exact paths of P surface points over T moments."""

    times: Tensor  # [T]
    points: Tensor  # [T, P, 3] world units
    labels: Tensor  # [P] ids of the objects
    visible: Tensor  # [T, P] bool: some view of the moment shows the point

    @classmethod
    def load(cls, path: Path) -> TrueTracks:
        """Read `tracks_gt.npz`, as the procedural scenes have it; visible may be [T, C, P] of C cameras."""
        arrays = read_arrays(path, ("times", "points", "labels", "visible"))
        visible = arrays["visible"].astype(bool)
        arrays["visible"] = visible.any(1) if visible.ndim == 3 else visible
        moments, count = arrays["times"].shape[:1], arrays["labels"].shape[:1]
        _check_shape(path, arrays, "points", (*moments, *count, 3))
        _check_shape(path, arrays, "visible", (*moments, *count))
        arrays["labels"] = arrays["labels"].astype(np.int64)
        return cls(**{name: torch.from_numpy(value) for name, value in arrays.items()})


def sampled(chosen: Tensor, weight: Tensor, limit: int) -> Tensor:
    """Indices [M], rising, of at most `limit` of the `chosen` Gaussians [N] bool.

    Where there are more, a random sample: each is the likelier to be in it the more is seen of it (`weight` [N]).
    Equal arguments give equal samples.
    """
    indices = chosen.nonzero()[:, 0]
    if len(indices) <= limit:
        return indices
    odds = weight[indices].double().cpu().clamp_min(0)
    odds = odds + 1e-6 * odds.mean() + 1e-30  # never fewer than `limit` that can be drawn
    drawn = torch.multinomial(odds, limit, generator=torch.Generator().manual_seed(0))
    return indices[drawn.to(indices.device)].sort().values


def track_scores(found: Tracks, truth: TrueTracks, label: int, time: float) -> dict[str, float]:
    """How well selected Gaussians carry the true points of object `label` that can be seen at `time`.

    Each point is tied to the selected Gaussian that is nearest then, and moves rigidly with it. The object's size is
    the diagonal of the box around its true points at `time`.

    Raises:
        UserError: the moments differ, or no point of the object can be seen then.
    """
    at_found, at_truth = _common_times(found.times, truth.times)
    start = int((truth.times[at_truth] - time).abs().argmin())
    own = truth.labels == label
    points = truth.points[at_truth][:, own]
    seen = truth.visible[at_truth[start], own]
    if not seen.any() or len(found.indices) == 0:
        counted = f"{len(found.indices)} Gaussians are selected, {int(seen.sum())} points of object {label} visible"
        raise UserError(f"tracks at time {time:.3f}: {counted}; expected some of both; select it in another view")
    size = float((points[start].amax(0) - points[start].amin(0)).norm())
    points = points[:, seen].double()
    carried = _carried(points[start], found.means[at_found].double(), found.quats_wxyz[at_found].double(), start)
    errors = (carried - points).norm(dim=-1).numpy()
    return track_metrics(errors, start, size) | {"track_points": int(seen.sum()), "track_times": len(at_truth)}


def _carried(points: Tensor, means: Tensor, quats_wxyz: Tensor, start: int) -> Tensor:
    """Points [P, 3] of moment `start` on the Gaussians [T, M] nearest to them then, at all moments: [T, P, 3]."""
    nearest = torch.from_numpy(cKDTree(means[start].numpy()).query(points.numpy())[1])
    offsets = local_points(points, means[start, nearest], quats_wxyz[start, nearest])
    return world_points(offsets, means[:, nearest], quats_wxyz[:, nearest])


def _common_times(found: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Indices into both of the moments that both have."""
    gaps = (found[:, None].double() - truth[None].double()).abs()
    nearest, index = gaps.min(1)
    common = (nearest <= SAME_TIME).nonzero()[:, 0]
    if len(common) < 2:
        raise UserError(
            f"tracks and true tracks have {len(common)} moments in common; expected at least 2; are they of one scene?"
        )
    return common, index[common]


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of an npz file, without running anything in it."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in names if name in file}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected tracks as .npz; check the path") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path} is no readable .npz of tracks ({reason}); make it anew") from None
    if len(arrays) < len(names):
        missing = [name for name in names if name not in arrays]
        raise UserError(f"{path} lacks {', '.join(missing)}; expected {', '.join(names)}; make it anew")
    return arrays


def _check_shape(path: Path, arrays: dict[str, np.ndarray], name: str, expected: tuple[int, ...]) -> None:
    if arrays[name].shape != expected:
        raise UserError(f"{path}: {name} has shape {arrays[name].shape}; expected {expected}; make it anew")
