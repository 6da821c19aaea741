"""Frozen layers: Gaussians of earlier trainings that are drawn together with those being trained, and never change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isqrt

import ndraster
import torch
from ndraster import Gaussians
from torch import Tensor
from torch.nn import functional as F

from utils.spherical_harmonics import num_sh_coefficients

LIST_NAMES = ("xyz", "f_dc", "f_rest", "scaling", "rotation", "opacity")
"""Order of the lists in a layer file, and of the tensors in graphdeco's checkpoints, by the names of the parameters."""
FEATURES = "semantic_feature"


@dataclass(frozen=True, eq=False)
class FrozenLayer:
    """One finished layer, as stored (before activation)."""

    name: str
    tensors: Mapping[str, Tensor]  # as GaussianModel.params: xyz [N, 3], f_dc, f_rest, scaling, rotation, opacity ...

    def __len__(self) -> int:
        return len(self.tensors["xyz"])

    @property
    def sh_degree(self) -> int:
        """Degree that the stored coefficients have."""
        return isqrt(self.tensors["f_rest"].shape[1] + 1) - 1

    def features(self, width: int) -> Tensor:
        """[N, width]: the layer's own if they have this width, else zeros."""
        own = self.tensors.get(FEATURES)
        fits = own is not None and own.shape[1] == width
        return own if fits else self.tensors["xyz"].new_zeros(len(self), width)

    def __str__(self) -> str:
        return f"{self.name} ({len(self)} Gaussians, SH degree {self.sh_degree})"


@dataclass(frozen=True, eq=False)
class FrozenLayers:
    """Layers from the oldest to the newest; without any of them everything stays as it is."""

    layers: tuple[FrozenLayer, ...] = ()
    feature_dim: int = 0
    """Width of the features with which they are drawn."""

    def __iter__(self) -> Iterator[FrozenLayer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def num_gaussians(self) -> int:
        return sum(len(layer) for layer in self.layers)

    @property
    def sh_degree(self) -> int:
        """Highest degree among the layers; 0 without any."""
        return max((layer.sh_degree for layer in self.layers), default=0)

    @cached_property
    def drawn(self) -> Gaussians:
        """All layers in a row, activated; shorter lists of coefficients end with zeros. Computed once."""
        names = [name for name in LIST_NAMES if name != "f_rest"]
        rows = {name: torch.cat([layer.tensors[name] for layer in self.layers]) for name in names}
        rest = torch.cat([padded_rest(layer.tensors["f_rest"], self.sh_degree) for layer in self.layers])
        features = torch.cat([layer.features(self.feature_dim) for layer in self.layers])
        stored = (rows["xyz"], rows["rotation"], rows["scaling"], rows["opacity"], rows["f_dc"], rest)
        return ndraster.activate(*stored, features=features if self.feature_dim else None)

    def behind(self, front: Gaussians, sh_degree: int) -> Gaussians:
        """`front` [N], and then the rows of all layers; to be rendered at the highest degree of all.

        Only `front` is differentiable, and its colours end at `sh_degree`: each layer keeps a degree of its own.
        """
        if not self.layers:
            return front
        back, highest = self.drawn, max(self.sh_degree, sh_degree)
        active = front.sh_rest[:, : num_sh_coefficients(sh_degree) - 1]
        rests = (padded_rest(rest, highest) for rest in (active, back.sh_rest))
        names = ("means", "quats_wxyz", "scales", "opacities", "sh", *(("features",) if self.feature_dim else ()))
        joined = {name: torch.cat([getattr(front, name), getattr(back, name)]) for name in names}
        return replace(front, sh_rest=torch.cat(tuple(rests)), **joined)

    def behind_rows(self, rows: Tensor) -> Tensor:
        """Feature rows [N, D] of the active Gaussians, and then those of all layers."""
        return torch.cat([rows, self.drawn.features]) if self.layers else rows

    def of_width(self, feature_dim: int) -> FrozenLayers:
        """The same layers, drawn with features of this width."""
        return self if feature_dim == self.feature_dim or not self else FrozenLayers(self.layers, feature_dim)

    def without_features(self) -> FrozenLayers:
        """The same layers; what they have of features is left out."""
        plain = ({name: value for name, value in layer.tensors.items() if name != FEATURES} for layer in self)
        layers = tuple(FrozenLayer(layer.name, tensors) for layer, tensors in zip(self, plain, strict=True))
        return FrozenLayers(layers, self.feature_dim)

    def to(self, device: torch.device | str) -> FrozenLayers:
        """The same layers on a device."""
        moved = (FrozenLayer(layer.name, _to(layer.tensors, device)) for layer in self)
        return FrozenLayers(tuple(moved), self.feature_dim)

    def state(self) -> list[dict[str, object]]:
        """Names and tensors, oldest first, for checkpoints."""
        return [{"name": layer.name, "tensors": dict(layer.tensors)} for layer in self]

    @classmethod
    def from_state(cls, state: Iterable[Mapping], device: torch.device | str = "cpu") -> FrozenLayers:
        """The layers that `state` described."""
        return cls(tuple(FrozenLayer(str(entry["name"]), _to(entry["tensors"], device)) for entry in state))

    def describe(self) -> str:
        """Names and sizes in words, oldest first."""
        return ", ".join(map(str, self.layers))


NO_LAYERS = FrozenLayers()


def padded_rest(rest: Tensor, sh_degree: int) -> Tensor:
    """Coefficients [N, K - 1, 3] with zeros behind, as many as a degree has; the colours stay the same."""
    missing = num_sh_coefficients(sh_degree) - 1 - rest.shape[1]
    return F.pad(rest, (0, 0, 0, missing)) if missing > 0 else rest


def layers_of_lists(lists: Sequence[Sequence[Tensor]], names: Sequence[str] = ()) -> FrozenLayers:
    """Layers from six lists of tensors in the order of `LIST_NAMES`, each newest first.

    Raises:
        ValueError: the lists are none, or differ in length.
    """
    counts = {len(entries) for entries in lists}
    tensors = all(isinstance(value, Tensor) for entries in lists for value in entries)
    if len(lists) != len(LIST_NAMES) or len(counts) != 1 or not tensors:
        raise ValueError(f"expected {len(LIST_NAMES)} equally long lists of tensors")
    columns = [[value.detach().float() for value in reversed(entries)] for entries in lists]
    names = list(names)[::-1] or [f"layer{index}" for index in range(counts.pop())]
    rows = zip(*columns, strict=True)
    return FrozenLayers(
        tuple(FrozenLayer(name, dict(zip(LIST_NAMES, row, strict=True))) for name, row in zip(names, rows, strict=True))
    )


def _to(tensors: Mapping[str, Tensor], device: torch.device | str) -> dict[str, Tensor]:
    return {name: value.detach().to(device) for name, value in tensors.items()}
