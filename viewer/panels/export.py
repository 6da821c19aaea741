"""The tab of what is written to disk, on the machine where the model is; with the command line that does the same."""

from __future__ import annotations

from typing import Any

from utils.progress import say
from viewer.exports import Exported
from viewer.web import WebViewer


class ExportPanel:
    """Buttons, and what the last one did."""

    def __init__(self, web: WebViewer) -> None:
        self._web, self._session, gui = web, web.session, web.server.gui
        self._name = gui.add_text("name", "object")
        selection, visible = gui.add_button("Selection and rest (.ply)"), gui.add_button("What is visible (.ply)")
        picture = gui.add_button("Picture (.png)")
        with gui.add_folder("Camera path"):
            add, clear = gui.add_button("Add this camera"), gui.add_button("Start again")
            self._count = gui.add_number("frames", 120, min=2, max=10_000, step=1)
            write = gui.add_button("Path (.json)")
        self._text = gui.add_markdown("")
        selection.on_click(web.guarded(lambda event: self._wrote(event, self._session.export_selection(self._named))))
        visible.on_click(web.guarded(lambda event: self._wrote(event, self._session.export_visible(self._named))))
        picture.on_click(web.guarded(self._picture))
        add.on_click(web.guarded(self._add))
        clear.on_click(web.guarded(lambda _: self._clear()))
        write.on_click(web.guarded(self._path))

    @property
    def _named(self) -> str:
        return self._name.value.strip()

    def _wrote(self, event: Any, exported: Exported) -> None:
        files = "\n".join(f"- `{path}`" for path in exported.files)
        command = f"\n\nThe same from the command line:\n```\n{exported.command}\n```" if exported.command else ""
        self._text.content = f"Written:\n{files}{command}"
        self._web.tell(self._web.visitor(event), f"written: {exported.files[0]}")
        say(str(exported))

    def _picture(self, event: Any) -> None:
        camera = self._camera(event)
        if camera is not None:
            self._wrote(event, self._session.export_picture(camera, f"{self._named}_picture"))

    def _add(self, event: Any) -> None:
        camera = self._camera(event)
        if camera is not None:
            self._session.path.append(camera)
            self._count_keys()

    def _clear(self) -> None:
        self._session.path.clear()
        self._count_keys()

    def _path(self, event: Any) -> None:
        self._wrote(event, self._session.export_path(int(self._count.value), f"{self._named}_path"))

    def _count_keys(self) -> None:
        self._text.content = f"The path goes through {len(self._session.path)} cameras."

    def _camera(self, event: Any):
        visitor = self._web.visitor(event)
        if visitor is None:
            return None
        return visitor.camera(self._session.state.time, self._web.longest_px)
