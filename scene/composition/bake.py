"""From layers to one tracked model: at every moment each layer is evaluated, placed and put beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scene.composition.baked_layer import BakedLayer, bake_copy, perform
from scene.composition.stage import NO_COPY, Stage
from scene.formats import SplatArrays
from scene.motion.trajectories import Trajectories
from utils.progress import warn
from utils.spherical_harmonics import sh_to_rgb


@dataclass(frozen=True)
class Baked:
    """A composition as Gaussians that can be tracked."""

    gaussians: SplatArrays
    """At the first moment; the motion code is that of tracked models: foreground share, number of first moment."""
    trajectories: Trajectories

    def __len__(self) -> int:
        return len(self.gaussians)


@torch.no_grad()
def bake(stage: Stage) -> Baked:
    """All layers and their copies, in the order of the file."""
    parts: list[BakedLayer] = []
    for layer in stage.composition.layers:
        performance = perform(stage, layer)
        parts += [bake_copy(stage, layer, performance, copy) for copy in (NO_COPY, *layer.copies)]
    times = torch.tensor(stage.times, dtype=torch.float64)
    colors = _colors(parts)
    means, quats = (torch.cat([getattr(part, name) for part in parts], dim=1) for name in ("means", "quats_wxyz"))
    trajectories = Trajectories(times, means, quats, colors)
    return Baked(_arrays(parts, trajectories), trajectories)


def _colors(parts: Sequence[BakedLayer]) -> Tensor | None:
    """RGB [T, N, 3] if any layer's colours change over time."""
    if all(part.colors is None for part in parts):
        return None
    if any(part.colors is None and part.sh.shape[1] > 1 for part in parts):
        warn("some layers' colours change over time, so all have one colour from everywhere at each moment")
    still = [sh_to_rgb(part.sh[:, 0]).expand(len(part.means), -1, -1) for part in parts]
    return torch.cat(
        [own if part.colors is None else part.colors for part, own in zip(parts, still, strict=True)], dim=1
    )


def _arrays(parts: Sequence[BakedLayer], trajectories: Trajectories) -> SplatArrays:
    """The first moment, with the colours of the layer that has most coefficients, others padded with zeros."""
    means, quats, colors = trajectories.pose(0)
    width = 1 if colors is not None else max(part.sh.shape[1] for part in parts)
    sh = torch.cat([_padded(part.sh, width) for part in parts])
    stacked = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("log_scales", "opacity", "code")}
    features = _features(parts)
    return SplatArrays(
        xyz=_numpy(means),
        f_dc=_numpy(sh[:, :1]),
        f_rest=_numpy(sh[:, 1:]),
        opacity=_numpy(stacked["opacity"]),
        scaling=_numpy(stacked["log_scales"]),
        rotation=_numpy(quats),
        semantic_feature=None if features is None else _numpy(features),
        motion_code=_numpy(stacked["code"]),
    )


def _padded(sh: Tensor, width: int) -> Tensor:
    """Coefficients [M, K, 3] as [M, width, 3]."""
    return torch.nn.functional.pad(sh[:, :width], (0, 0, 0, max(width - sh.shape[1], 0)))


def _features(parts: Sequence[BakedLayer]) -> Tensor | None:
    """Features [N, D] if all layers have some of one width."""
    widths = {0 if part.features is None else part.features.shape[1] for part in parts}
    if len(widths) == 1 and widths != {0}:
        return torch.cat([part.features for part in parts])
    if len(widths) > 1:
        warn(f"layers have features of the widths {', '.join(map(str, sorted(widths)))}; they are left out")
    return None


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()
