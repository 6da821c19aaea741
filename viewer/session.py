"""One viewing: what is shown, what is asked and answered. Knows no browser; visitors' threads may call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Lock

import numpy as np
from torch import Tensor

from gaussian_renderer.trajectories import sorted_by_name
from scene.cameras import Camera
from utils.errors import UserError
from utils.image_io import to_uint8
from utils.work_desk import WorkDesk
from viewer.client_cameras import pixel_in_view, view_at
from viewer.exports import Exported, export_path, export_picture, export_selection, export_visible
from viewer.painter import Painter
from viewer.questions import Answer, Answerer, Question, encode_words
from viewer.source import Source
from viewer.view_state import ViewState

CLICK_SIDE_PX = 960  # longer side of the picture from which a click in mid-air is read
SAME_MOMENT = 1e-6


class Session:
    """State shared by all visitors.

    Args:
        source: the model.
        desk: of the thread that owns the model; everything that looks at it is done there.
    """

    def __init__(self, source: Source, desk: WorkDesk) -> None:
        self.source, self.desk = source, desk
        first = source.train[0].time if source.train else 0.0
        self.state = ViewState(time=float(first))
        self.answer: Answer | None = None
        self.path: list[Camera] = []
        """Key cameras of the path that is being made."""
        self.changed: Callable[[], None] = lambda: None
        """Called after everything that alters pictures."""
        self._painter, self._answerer = Painter(source), Answerer(source)
        self._history: list[Question] = []
        self._words: Tensor | None = None  # of the question, encoded
        self._fault: ValueError | None = None  # why the last refresh failed
        self._lock = Lock()

    @property
    def question(self) -> Question:
        """What is asked at the moment."""
        return self._history[-1] if self._history else Question()

    def change(self, **fields: object) -> None:
        """Choose something else to see: fields of `ViewState`."""
        with self._lock:
            self.state = replace(self.state, **fields)
        self.changed()

    def click(self, camera: Camera, x: float, y: float, is_positive: bool = True) -> Answer | None:
        """A click at (column, row) px of a camera; at a training view it counts as one in the photograph."""

        def asked() -> Question:
            keep = self._painter.shown(self.source.now(), camera.time, self.state, self.answer).keep
            return self.question.with_click(*self._place(camera, x, y), is_positive, keep)

        return self._ask(self.desk.ask(asked))

    def ask_words(self, word: str, against: tuple[str, ...] = ()) -> Answer | None:
        """A word, and others that oppose it."""
        return self._ask(self.question.with_words(word.strip(), [other for other in against if other]))

    def decide(self, threshold: float | None, connected: bool) -> Answer | None:
        """The same question with another threshold (None = automatic), or about other parts."""
        question = replace(self.question, threshold=threshold, connected=connected)
        return self._ask(question, replaces=True) if not question.is_empty else None

    def undo(self) -> Answer | None:
        """Take the last click or word back."""
        with self._lock:
            if self._history:
                self._history.pop()
        return self._answer_again()

    def clear(self) -> None:
        """Ask for nothing."""
        with self._lock:
            self._history.clear()
        self._answer_again()

    def refresh_if_outdated(self, done: Callable[[BaseException | None], None]) -> None:
        """Answer the question anew where the answer is about Gaussians that are there no more; then call `done`.

        Returns at once. What cannot be answered any more is forgotten, and `done` gets the error.
        """
        future = self.desk.put("refresh", self._refresh)
        future.add_done_callback(lambda job: None if job.cancelled() or not job.result() else done(self._fault))

    def _refresh(self) -> bool:
        """Whether there was something to do."""
        if self.answer is None or self.answer.rows == self.source.now().rows:
            return False
        self._fault = None
        try:
            self.answer = self._answerer.answer(self.question, self._words)
        except ValueError as error:
            self.answer, self._fault = None, error
        self.changed()
        return True

    def paint(self, camera: Camera) -> np.ndarray:
        """The picture, uint8 [H, W, 3]. On the owner's thread."""
        return to_uint8(self._painter.paint(camera, self.state, self.answer))

    def export_selection(self, name: str) -> Exported:
        """See `exports`."""

        def work() -> Exported:
            snapshot, answer = self.source.now(), self.answer
            if answer is None or answer.rows != snapshot.rows:
                raise UserError("nothing is selected; expected some Gaussians; click on an object first")
            return export_selection(self.source, snapshot.model, answer, name, self.state.time)

        return self.desk.ask(work)

    def export_visible(self, name: str) -> Exported:
        """See `exports`."""

        def work() -> Exported:
            shown = self._painter.shown(self.source.now(), self.state.time, self.state, self.answer)
            return export_visible(self.source, shown, name, self.state.time)

        return self.desk.ask(work)

    def export_picture(self, camera: Camera, name: str) -> Exported:
        """See `exports`."""
        picture = self.desk.ask(lambda: self._painter.paint(camera, self.state, self.answer))
        return export_picture(self.source, picture, camera, name)

    def export_path(self, count: int, name: str) -> Exported:
        """See `exports`."""
        return export_path(self.source, self.path, count, name)

    def _place(self, camera: Camera, x: float, y: float) -> tuple[Camera, tuple[int, int]]:
        """The camera and the pixel that a click is read from."""
        view = view_at(camera, sorted_by_name(self.source.train), self.source.surroundings.radius)
        if view is not None and abs(view.time - camera.time) < SAME_MOMENT:
            pixel = pixel_in_view(camera, view, x, y)
            if pixel is not None:
                return view, pixel
        scale = min(1.0, CLICK_SIDE_PX / max(camera.width, camera.height))
        small = camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
        column, row = int(x * small.width / camera.width), int(y * small.height / camera.height)
        return small, (min(max(column, 0), small.width - 1), min(max(row, 0), small.height - 1))

    def _ask(self, question: Question, replaces: bool = False) -> Answer | None:
        """Answer a question; it is forgotten if it cannot be answered."""
        answer = self._answered(question)
        with self._lock:
            if replaces and self._history:
                self._history.pop()
            self._history.append(question)
            self.answer = answer
        self.changed()
        return answer

    def _answer_again(self) -> Answer | None:
        answer = self._answered(self.question)
        with self._lock:
            self.answer = answer
        self.changed()
        return answer

    def _answered(self, question: Question) -> Answer | None:
        self._words = encode_words(self.source, question)
        return self.desk.ask(lambda: self._answerer.answer(question, self._words))
