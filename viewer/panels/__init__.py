"""The controls of the web page: one file = one tab."""

from __future__ import annotations

from viewer.live import LiveTraining
from viewer.panels.export import ExportPanel
from viewer.panels.select import SelectPanel
from viewer.panels.training import TrainingPanel
from viewer.panels.view import ViewPanel
from viewer.web import WebViewer


def add_panels(web: WebViewer, live: LiveTraining | None = None) -> None:
    """All tabs; that of the training where there is one."""
    tabs = web.server.gui.add_tab_group()
    if live is not None:
        with tabs.add_tab("Training"):
            TrainingPanel(web, live)
    with tabs.add_tab("View"):
        ViewPanel(web)
    if web.session.source.now().model.features is not None or live is not None:
        with tabs.add_tab("Select"):
            SelectPanel(web)
    with tabs.add_tab("Export"):
        ExportPanel(web)
