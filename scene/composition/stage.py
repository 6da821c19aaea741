"""Where the layers' Gaussians are in the world of the composition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from scene.composition.follow import part_motion
from scene.composition.layers import Anchor, Composition, Layer
from scene.composition.select import Source, chosen_mask
from scene.composition.transform import Pose, Similarity, placed
from utils.errors import UserError

NO_COPY = Pose()


class Stage:
    """The layers of a composition with their models.

    Args:
        composition: checked.
        sources: model of each layer, by the layer's name.
        times: moments that are baked, rising in 0..1.
    """

    def __init__(self, composition: Composition, sources: Mapping[str, Source], times: Sequence[float]) -> None:
        self.composition, self.sources, self.times = composition, sources, tuple(times)
        self._rows: dict[str, Tensor] = {}

    @cached_property
    def layers(self) -> Mapping[str, Layer]:
        """By name."""
        return self.composition.by_name

    def rows(self, name: str) -> Tensor:
        """Indices [M] of the Gaussians that a layer shows; at least one."""
        if name not in self._rows:
            layer, source = self.layers[name], self.sources[name]
            moment = layer.clock.at(self.times[0])
            mask = self._mask(name, layer.select, moment) & ~self._mask(name, layer.remove, moment)
            if not mask.any():
                raise UserError(f"layer {name!r}: nothing of {len(source.model)} Gaussians is left; change its select")
            self._rows[name] = torch.nonzero(mask)[:, 0]
        return self._rows[name]

    def placement(self, name: str, times: Sequence[float], copy: Pose = NO_COPY) -> Similarity:
        """From a layer's own space to the world at moments of the composition, for the layer or one of its copies."""
        layer = self.layers[name]
        own = placed(layer.keyframes, copy, self._pivot(name), times)
        return own if layer.follow is None else self.part(layer.follow, times).after(own)

    def part(self, anchor: Anchor, times: Sequence[float]) -> Similarity:
        """How a part has moved in the world since the anchor's moment."""
        rows, weights = self._anchor_rows(anchor)
        (still_means, still_quats), (means, quats) = (
            self._poses(anchor.layer, rows, moments) for moments in ((anchor.time,), times)
        )
        return part_motion((still_means[0], still_quats[0]), means, quats, weights)

    def middles(self, anchor: Anchor, times: Sequence[float]) -> Tensor:
        """Weighted middle [T, 3] of a part in the world, float64 on the CPU."""
        rows, weights = self._anchor_rows(anchor)
        means, _ = self._poses(anchor.layer, rows, times)
        return (means.double().cpu() * (weights / weights.sum()).double().cpu()[:, None]).sum(1)

    def _anchor_rows(self, anchor: Anchor) -> tuple[Tensor, Tensor]:
        """Indices [A] of a part's Gaussians, and how much each counts."""
        moment = self.layers[anchor.layer].clock.at(anchor.time)
        rows = torch.nonzero(self._mask(anchor.layer, anchor.choices, moment))[:, 0]
        if len(rows) == 0:
            raise UserError(f"the part of layer {anchor.layer!r} that is followed is empty; change its select")
        return rows, self.sources[anchor.layer].model.params["opacity"].detach()[rows, 0].sigmoid() + 1e-6

    def _poses(self, name: str, rows: Tensor, times: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Means [T, A, 3] and unit quaternions [T, A, 4] of a layer's Gaussians in the world."""
        model, clock = self.sources[name].model, self.layers[name].clock
        moments = [model.at(clock.at(time)) for time in times]
        place = self.placement(name, times)
        means = torch.stack([moment.means[rows] for moment in moments])
        quats = torch.stack([F.normalize(moment.quats_wxyz[rows], dim=-1) for moment in moments])
        return place.points(means), place.orientations(quats)

    def _pivot(self, name: str) -> Tensor:
        layer = self.layers[name]
        if layer.pivot is not None:
            return torch.tensor(layer.pivot, dtype=torch.float64)
        means = self.sources[name].model.at(layer.clock.at(self.times[0])).means[self.rows(name)]
        return means.double().median(dim=0).values.cpu()

    def _mask(self, name: str, choices: Sequence, moment: float) -> Tensor:
        try:
            return chosen_mask(self.sources[name], choices, moment)
        except UserError as error:
            raise UserError(f"layer {name!r}: {error}") from None
