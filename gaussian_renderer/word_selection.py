"""From words to sets of Gaussians: what words compete with, scores, and which Gaussians belong to which word."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.feature_space import word_cosines
from scene.editing import CANONICAL_NEGATIVES, target_ids
from scene.selection import UNDECIDED, Cloud, Selection, disjoint, select_scored
from utils.relevance import relevance

LANGUAGE_TEACHERS = ("lseg", "clip")  # whose words compare with any other words
TEMPERATURE = 0.1  # of relevance, as in LERF (Kerr et al. 2023)

Encode = Callable[[Sequence[str]], Tensor]  # words -> unit rows [K, C] of the teacher's space


def opposing_words(
    wanted: Sequence[str], negative: Sequence[str], classes: Sequence[str], teacher: str, canonical: bool = True
) -> list[str]:
    """What the wanted words compete with: the other classes of a label model, else those named and, where the teacher
    knows language, four words for anything.
    """
    if classes:
        meant = set(target_ids(classes, wanted))
        return [name for index, name in enumerate(classes) if index not in meant]
    return [*negative, *(CANONICAL_NEGATIVES if canonical and teacher in LANGUAGE_TEACHERS else ())]


def word_scores(
    features: Tensor, decoder: LinearDecoder | None, classes: Sequence[str], words: Sequence[str], encode: Encode
) -> Tensor:
    """Scores [N, K] of the Gaussians for all words: cosines, or the logits of a label model."""
    if classes:
        return features[:, target_ids(classes, words)]
    return word_cosines(features, decoder, encode(words))


def select_words(
    scores: Tensor,  # [N, K], the wanted words first
    wanted: int,
    cloud: Cloud,
    threshold: float | None,
    are_logits: bool,  # of a label model, where the likeliest class wins
) -> list[Selection]:
    """One selection per wanted word: the Gaussians that are like it, and more so than like any other word."""
    return disjoint([_select_word(scores, index, cloud, threshold, are_logits) for index in range(wanted)])


def _select_word(scores: Tensor, index: int, cloud: Cloud, threshold: float | None, are_logits: bool) -> Selection:
    ordered = torch.cat([scores[:, [index]], scores[:, :index], scores[:, index + 1 :]], dim=1)
    if are_logits:
        odds = relevance(ordered, 1, temperature=1.0)[:, 0]
        return select_scored(odds, cloud, UNDECIDED if threshold is None else threshold)
    rivalled = ordered.shape[1] > 1
    relevant = relevance(ordered, 1, TEMPERATURE)[:, 0] if rivalled else None
    return select_scored(scores[:, index], cloud, threshold, relevant)
