"""The tab of a training: figures, pause, and how much of its time pictures may take."""

from __future__ import annotations

from typing import Any

from viewer.live import LiveTraining
from viewer.web import WebViewer

FIGURES_SEC = 0.5  # between two looks at the figures
SHARES = (0.05, 1.0)  # of the training's time, least and most


class TrainingPanel:
    """Shows and steers one training."""

    def __init__(self, web: WebViewer, live: LiveTraining) -> None:
        self._live = live
        gui, self._desk = web.server.gui, web.session.desk
        self._text = gui.add_markdown(live.text())
        self._pause = gui.add_button("Pause")
        self._share = gui.add_slider(
            "pictures' share",
            *SHARES,
            0.05,
            self._desk.share,
            hint="Share of the time that pictures may take from the training",
        )
        self._pause.on_click(lambda _: self._toggle())
        self._share.on_update(self._set_share)
        self._since = 0.0
        web.on_tick.append(self._tick)

    def _toggle(self) -> None:
        self._live.is_paused = not self._live.is_paused
        self._pause.label = "Resume" if self._live.is_paused else "Pause"

    def _set_share(self, _: Any) -> None:
        self._desk.share = float(self._share.value)

    def _tick(self, seconds: float) -> None:
        self._since += seconds
        if self._since >= FIGURES_SEC:
            self._since = 0.0
            text = self._live.text()
            if text != self._text.content:
                self._text.content = text
