"""From queries or scores to a set of Gaussians: similarities and the automatic threshold. No rendering here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scene.neighbour_graph import drop_islands, fill_holes, nearest_neighbours, reachable_similarity, smooth
from scene.prompts import Prompt

NEIGHBOURS = 8
MIN_ISLAND_SHARE = 0.02  # of the selected weight; smaller groups are noise
MAX_HOLE_SHARE = 0.05  # of the selected weight; smaller unselected groups inside the selection belong to it
MAX_HOLE_OF_ALL = 0.01  # of all weight; what is larger is a thing of its own
GROWTH = 0.2  # of the selection (or of the rest, if that is less), up to which it counts as the same selection
SHARE_LIMITS = (0.005, 0.85)  # of all that is seen, between which a selection is looked for
SHARE_STEPS = 400
SOFT_ANGLE_RAD = 1.0  # smaller angles are compared by their difference rather than by their ratio
UNDECIDED = 0.5  # relevance of what is as near to one thing as to another
EPS = 1e-8


@dataclass(frozen=True)
class Cloud:
    """Where the Gaussians are and how much they are seen."""

    weight: Tensor  # [N] how much each Gaussian is seen
    neighbours: np.ndarray  # [N, 8] indices of the nearest others

    @classmethod
    def of(cls, means: Tensor, weight: Tensor) -> Cloud:
        """The cloud of Gaussians at `means` [N, 3], or on paths [N, 3 T], world units, with the weights [N]."""
        return cls(weight, nearest_neighbours(means, NEIGHBOURS))


@dataclass(frozen=True)
class Selection:
    """Which Gaussians are chosen, and why; every [N] tensor is index-aligned with the model."""

    mask: Tensor  # [N] bool
    similarity: Tensor  # [N] what was asked of each Gaussian: cosine with the nearest positive query, share of masks
    score: Tensor  # [N] what the threshold is compared with: similarity after smoothing, negatives and connection
    threshold: float
    prompt: Prompt | None = None  # the queries, if there were any


def select(
    features: Tensor,  # [N, D]
    prompt: Prompt,
    cloud: Cloud,
    threshold: float | None = None,
    connected: bool = True,
) -> Selection:
    """The Gaussians that are like those that were pointed at.

    The similarity is the cosine with the nearest positive query, blended with that of the neighbours. Where a negative
    query is nearer, or the Gaussian cannot be meant, the score is the lowest one of all. With `connected` only what
    hangs together with the seeds counts.
    """
    similarity = nearest_cosine(features, prompt.positive)
    score = _smoothed(similarity, cloud)
    opposed = _smoothed(nearest_cosine(features, prompt.negative), cloud) >= score
    if prompt.excluded is not None:
        opposed = opposed | prompt.excluded
    score = _without(opposed, score)
    if connected and len(prompt.seeds):
        score = reachable_similarity(score, cloud.neighbours, prompt.seeds)
    mask, limit = _decided(score, opposed, cloud, threshold)
    return Selection(mask, similarity, score, limit, prompt)


def select_scored(
    similarity: Tensor,  # [N] e.g. cosine with a word
    cloud: Cloud,
    threshold: float | None = None,
    relevance: Tensor | None = None,  # [N] 0..1: how much rather this than anything else
) -> Selection:
    """The Gaussians with a high similarity of their own, except those for which something else is more relevant."""
    score = _smoothed(similarity, cloud)
    opposed = torch.zeros_like(score, dtype=torch.bool)
    if relevance is not None:
        opposed = _smoothed(relevance, cloud) < UNDECIDED
    score = _without(opposed, score)
    mask, limit = _decided(score, opposed, cloud, threshold)
    return Selection(mask, similarity, score, limit)


def _without(opposed: Tensor, score: Tensor) -> Tensor:
    """The score [N] where those opposed have the lowest one of all: a still lower one would look like a gap."""
    return torch.where(opposed, score.min(), score)


def _decided(score: Tensor, opposed: Tensor, cloud: Cloud, threshold: float | None) -> tuple[Tensor, float]:
    """Mask [N] of what reaches the (automatic) threshold, without islands, holes and those opposed."""
    limit = automatic_threshold(score, cloud.weight) if threshold is None else threshold
    mask = drop_islands((score >= limit) & ~opposed, cloud.weight, cloud.neighbours, MIN_ISLAND_SHARE)
    filled = fill_holes(mask, cloud.weight, cloud.neighbours, MAX_HOLE_SHARE, MAX_HOLE_OF_ALL)
    return filled & ~opposed, limit


def disjoint(selections: Sequence[Selection]) -> list[Selection]:
    """The selections without what another one has a higher score for."""
    scores = torch.stack([torch.where(each.mask, each.score, -torch.inf) for each in selections])
    winner = scores.argmax(0)
    return [replace(each, mask=each.mask & (winner == index)) for index, each in enumerate(selections)]


def _smoothed(values: Tensor, cloud: Cloud) -> Tensor:
    return smooth(values, cloud.weight, cloud.neighbours)


def nearest_cosine(features: Tensor, queries: Tensor) -> Tensor:
    """Largest cosine of each row [N, D] with any query [Q, D]; -1 without queries, 0 for rows of zeros."""
    if len(queries) == 0:
        return features.new_full((len(features),), -1.0)
    cosines = F.normalize(features, dim=1, eps=EPS) @ F.normalize(queries, dim=1, eps=EPS).T
    return cosines.amax(1)


def automatic_threshold(score: Tensor, weight: Tensor) -> float:
    """The score at which the selection is most stable: it may be loosened most before it grows by `GROWTH`.

    Looseness is the logarithm of the angle to the query, so the first clear gap around the clicked thing wins over a
    wider one between other things, whatever the thing's share of the pictures (which is where Otsu's rule fails: it
    splits the many, not the one that was clicked).

    Args:
        score: [N] cosines.
        weight: [N] how much each Gaussian is seen; unseen ones do not count.
    """
    order = score.argsort(descending=True)
    values = score[order].double().cpu()
    mass = weight[order].double().cpu().clamp_min(0).cumsum(0)
    if float(mass[-1]) <= 0:
        mass = torch.arange(1, len(values) + 1, dtype=torch.float64)
    mass = mass / mass[-1]
    share = torch.logspace(*np.log10(SHARE_LIMITS), SHARE_STEPS, dtype=torch.float64)
    grown = share + GROWTH * torch.minimum(share, 1 - share)
    first, last = (torch.searchsorted(mass, x).clamp_max(len(values) - 1) for x in (share, grown))
    looseness = torch.log(torch.arccos(values.clamp(-1, 1)) + SOFT_ANGLE_RAD)
    best = int((looseness[last] - looseness[first]).argmax())
    return float(values[first[best]] + values[last[best]]) / 2
