"""What visitors ask for by clicks and words, and the Gaussians that answer."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from encoders.text import TEMPLATES, encode_prompts, open_text_encoder
from gaussian_renderer.mask_lifting import ViewPrompt
from gaussian_renderer.prompting import pointed_prompt, seen_cloud
from gaussian_renderer.word_selection import opposing_words, select_words, word_scores
from scene.cameras import Camera
from scene.prompts import Point, Prompt, joined_prompt
from scene.selection import Cloud, Selection, select
from utils.errors import UserError
from viewer.source import Snapshot, Source


@dataclass(frozen=True, eq=False)
class ViewClicks:
    """Points in one view."""

    camera: Camera
    asked: ViewPrompt
    keep: Tensor | None = None  # [N] bool: what was to be seen; None = everything

    def with_point(self, point: Point, is_positive: bool) -> ViewClicks:
        """The same with one point more."""
        name = "positive" if is_positive else "negative"
        return replace(self, asked=replace(self.asked, **{name: (*getattr(self.asked, name), point)}))

    def is_of(self, camera: Camera, keep: Tensor | None) -> bool:
        """Whether a click in this camera belongs here."""
        own = self.camera
        same = (own.width, own.height, own.fx, own.time) == (camera.width, camera.height, camera.fx, camera.time)
        return same and torch.equal(own.world_to_camera, camera.world_to_camera) and self.keep is keep


@dataclass(frozen=True)
class Question:
    """Clicks, or a word; and how it is decided."""

    clicks: tuple[ViewClicks, ...] = ()
    word: str = ""
    against: tuple[str, ...] = ()
    threshold: float | None = None
    """None = found automatically."""
    connected: bool = True
    """Clicks: only what hangs together with the clicked places."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for."""
        return not self.word and not self.clicks

    def with_click(self, camera: Camera, point: Point, is_positive: bool, keep: Tensor | None = None) -> Question:
        """The same with one click more, instead of words if there were some; the threshold is found anew."""
        mine = [clicks for clicks in self.clicks if clicks.is_of(camera, keep)]
        first = mine[0] if mine else ViewClicks(camera, ViewPrompt(), keep)
        others = tuple(clicks for clicks in self.clicks if clicks is not first)
        return Question((*others, first.with_point(point, is_positive)), connected=self.connected)

    def with_words(self, word: str, against: Sequence[str]) -> Question:
        """A word, and others that oppose it, instead of what was asked for before."""
        return Question(word=word, against=tuple(against), connected=self.connected)


@dataclass(frozen=True, eq=False)
class Answer:
    """A selection, and of which Gaussians."""

    question: Question
    selection: Selection
    weight: Tensor  # [N] how much each Gaussian is seen
    rows: Hashable
    """`Snapshot.rows` for which it holds."""

    @property
    def count(self) -> int:
        """Gaussians that are selected."""
        return int(self.selection.mask.sum())


def encode_words(source: Source, question: Question) -> Tensor | None:
    """Unit rows [K, C] of the word and of what opposes it; None where no text is to be encoded. Takes its time."""
    if not question.word or source.classes:
        return None
    if source.teacher is None:
        raise UserError("this model has no features of a known teacher; expected some to compare words with; click")
    encoder = open_text_encoder(source.teacher, source.text_weights)
    return encode_prompts(encoder, _words(source, question), TEMPLATES["none"])


class Answerer:
    """Answers questions about a model; to be used on the thread that owns it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._cloud: Cloud | None = None
        self._prompts: dict[ViewClicks, Prompt] = {}
        self._values: Hashable = None  # of the snapshot that both belong to

    def answer(self, question: Question, words: Tensor | None = None) -> Answer | None:
        """The Gaussians that are meant, None where nothing is asked.

        Args:
            question: clicks or a word.
            words: what `encode_words` gave.

        Raises:
            UserError: a click on nothing, or a model without features.
        """
        if question.is_empty:
            return None
        snapshot = self._source.now()
        if snapshot.model.features is None:
            raise UserError("this model has no features; expected some to select by; train with -f classical")
        self._begin(snapshot)
        if question.word:
            selection = self._by_words(question, snapshot, words)
        else:
            rows = self._source.comparable(snapshot)
            prompt = self._prompt(question, snapshot, rows)
            selection = select(rows, prompt, self._cloud, question.threshold, question.connected)
        return Answer(question, selection, self._cloud.weight, snapshot.rows)

    def _begin(self, snapshot: Snapshot) -> None:
        if self._cloud is not None and self._values == snapshot.values:
            return
        self._values = snapshot.values
        self._prompts.clear()
        views = [view for view in self._source.vantages if snapshot.model.motion.knows(view.time)]
        self._cloud = seen_cloud(views, snapshot.model, self._source.settings)

    def _by_words(self, question: Question, snapshot: Snapshot, words: Tensor | None) -> Selection:
        classes = self._source.classes
        asked = _words(self._source, question)
        features = snapshot.model.features.detach()
        scores = word_scores(features, snapshot.decoder, classes, asked, lambda _: words)
        return select_words(scores, 1, self._cloud, question.threshold, bool(classes))[0]

    def _prompt(self, question: Question, snapshot: Snapshot, rows: Tensor) -> Prompt:
        if not any(clicks.asked.positive for clicks in question.clicks):
            raise UserError("there is no positive click yet; expected one on the object; click on it first")
        for clicks in question.clicks:
            if clicks not in self._prompts:
                self._prompts[clicks] = self._pointed(clicks, snapshot.model, rows)
        return joined_prompt([self._prompts[clicks] for clicks in question.clicks])

    def _pointed(self, clicks: ViewClicks, model, rows: Tensor) -> Prompt:
        """The prompt of one view, which may have shown a part of the Gaussians."""
        settings, keep = self._source.settings, clicks.keep
        if keep is None or len(keep) != len(rows):
            return pointed_prompt(clicks.camera, model, rows, clicks.asked, (), settings)
        part = pointed_prompt(clicks.camera, model.subset(keep), rows[keep], clicks.asked, (), settings)
        return replace(part, seeds=keep.nonzero()[:, 0][part.seeds])


def _words(source: Source, question: Question) -> list[str]:
    """The word, and what it competes with."""
    teacher = "" if source.teacher is None else source.teacher.name
    return [question.word, *opposing_words([question.word], question.against, source.classes, teacher)]
