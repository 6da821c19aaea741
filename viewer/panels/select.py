"""The tab of selections: clicks, words, threshold, undo, and what of the selection is to be seen."""

from __future__ import annotations

import time
from typing import Any

from utils.progress import warn
from utils.script import describe
from viewer.session import Session
from viewer.view_state import SHOWS
from viewer.web import FAULTS, WebViewer

POSITIVE, NEGATIVE = "+ this", "− not this"
REFRESH_SEC = 5.0  # between two new answers where a training changes the Gaussians
HELP = "Click on an object; shift-click on what is not part of it."


class SelectPanel:
    """Turns clicks and words into selections."""

    def __init__(self, web: WebViewer) -> None:
        self._web, self._session = web, web.session
        gui = web.server.gui
        gui.add_markdown(HELP)
        self._clicks = gui.add_checkbox("clicks select", True)
        self._sign = gui.add_dropdown("a click means", (POSITIVE, NEGATIVE), initial_value=POSITIVE)
        self._word = gui.add_text("word", "")
        self._against = gui.add_text("but not", "", hint="Words with commas between")
        search = gui.add_button("Search the word")
        undo, clear = gui.add_button("Undo"), gui.add_button("Clear")
        self._add_decision(gui)
        self._text = gui.add_markdown(_result(self._session))
        search.on_click(web.guarded(self._search))
        undo.on_click(web.guarded(lambda _: self._done(self._session.undo)))
        clear.on_click(web.guarded(lambda _: self._done(self._session.clear)))
        web.server.scene.on_click()(web.guarded(lambda event: self._click(event, self._sign.value == POSITIVE)))
        web.server.scene.on_click(modifier="shift")(web.guarded(lambda event: self._click(event, False)))
        self._since = 0.0
        web.on_tick.append(self._follow)

    def _add_decision(self, gui: Any) -> None:
        self._automatic = gui.add_checkbox("automatic threshold", True)
        self._threshold = gui.add_slider("threshold", -1.0, 1.0, 0.001, 0.5)
        self._connected = gui.add_checkbox("only what hangs together", True)
        self._show = gui.add_dropdown("show", SHOWS, initial_value=SHOWS[0])
        for handle in (self._automatic, self._threshold, self._connected):
            handle.on_update(self._web.guarded(self._decide))
        self._show.on_update(lambda _: self._session.change(show=self._show.value))

    def _click(self, event: Any, is_positive: bool) -> None:
        visitor = self._web.visitor(event)
        if visitor is None or not self._clicks.value or time.monotonic() - self._web.jumped_at < 0.5:
            return
        camera = visitor.camera(self._session.state.time)
        u, v = event.screen_pos
        self._done(lambda: self._session.click(camera, u * camera.width, v * camera.height, is_positive))

    def _search(self, _: Any) -> None:
        against = tuple(word.strip() for word in self._against.value.split(","))
        self._done(lambda: self._session.ask_words(self._word.value, against))

    def _decide(self, event: Any) -> None:
        if event.client_id is None:  # our own doing
            return
        threshold = None if self._automatic.value else float(self._threshold.value)
        self._done(lambda: self._session.decide(threshold, bool(self._connected.value)))

    def _done(self, action: Any) -> None:
        """Do something to the selection, and show what has come of it."""
        action()
        answer = self._session.answer
        self._text.content = _result(self._session)
        if answer is not None:
            self._automatic.value = answer.question.threshold is None
            if self._automatic.value:
                self._threshold.value = round(min(1.0, max(-1.0, answer.selection.threshold)), 3)

    def _follow(self, seconds: float) -> None:
        """Answer anew where a training has made other Gaussians."""
        self._since += seconds
        answer = self._session.answer
        if answer is None or self._since < REFRESH_SEC:
            return
        self._since = 0.0
        self._session.refresh_if_outdated(self._refreshed)

    def _refreshed(self, error: BaseException | None) -> None:
        if isinstance(error, FAULTS):
            warn(f"the selection was dropped: {describe(error)}")
        self._text.content = _result(self._session)


def _result(session: Session) -> str:
    answer = session.answer
    if answer is None:
        return "Nothing is selected."
    clicks = sum(len(each.asked.positive) + len(each.asked.negative) for each in answer.question.clicks)
    counted = "1 click" if clicks == 1 else f"{clicks} clicks"
    asked = f"the word “{answer.question.word}”" if answer.question.word else counted
    total = len(answer.selection.mask)
    return f"**{answer.count}** of {total} Gaussians by {asked}, from {answer.selection.threshold:.3f} up."
