"""The tab of what is shown: kind of picture, time, photographs, layers, crop box."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gaussian_renderer.feature_basis import evenly_spread
from scene.cameras import Camera
from utils.transforms import focal_to_fov, matrix_to_quaternion
from viewer.photos import COMPARISONS
from viewer.source import Source
from viewer.view_state import MODES, Crop
from viewer.web import WebViewer

NOWHERE = "(none)"
MAX_FRUSTA = 300
FRUSTUM_SHARE = 0.06  # of the scene's radius
TRAIN_COLOR, TEST_COLOR = (60, 110, 200), (220, 120, 40)
LOOP_SEC = 5.0  # from time 0 to 1 at speed 1
LARGEST_PX = 4096


class ViewPanel:
    """Controls of the `ViewState` that have nothing to do with selections."""

    def __init__(self, web: WebViewer) -> None:
        self._web, self._session, self._gui = web, web.session, web.server.gui
        source = web.session.source
        self._mode = self._gui.add_dropdown("picture", modes_of(source), initial_value="color")
        self._mode.on_update(lambda _: self._session.change(mode=self._mode.value))
        if not source.now().model.motion.is_static:
            self._add_time()
        if source.views:
            self._add_views(source)
        if source.groups:
            self._add_groups(source)
        self._add_crop(source)
        self._add_quality()

    def _add_time(self) -> None:
        gui, session = self._gui, self._session
        with gui.add_folder("Time"):
            self._time = gui.add_slider("time", 0.0, 1.0, 0.001, session.state.time)
            self._play = gui.add_checkbox("play", False)
            self._speed = gui.add_slider("speed", 0.1, 4.0, 0.1, 1.0)
            tails = gui.add_checkbox("ways of what is selected", session.state.tails)
        self._time.on_update(lambda _: session.change(time=float(self._time.value)))
        tails.on_update(lambda _: session.change(tails=tails.value))
        self._web.on_tick.append(self._run_time)

    def _run_time(self, seconds: float) -> None:
        if self._play.value and self._web.has_visitors:
            self._time.value = math.fmod(self._time.value + seconds * self._speed.value / LOOP_SEC, 1.0)
        elif abs(self._time.value - self._session.state.time) > 1e-9:
            self._time.value = self._session.state.time  # a jump to a photograph has set it

    def _add_views(self, source: Source) -> None:
        gui, session, web = self._gui, self._session, self._web
        names = {_label(source, view): view for view in source.views}
        with gui.add_folder("Photographs"):
            chosen = gui.add_dropdown("go to", (NOWHERE, *names), initial_value=NOWHERE)
            frusta = gui.add_checkbox("show cameras", False)
            compare = gui.add_dropdown("compare", COMPARISONS, initial_value="off")
            share = gui.add_slider("photograph", 0.0, 1.0, 0.01, session.state.share)
        self._frusta: list[Any] = []

        def go(event: Any) -> None:
            visitor = web.visitor(event)
            if visitor is not None and chosen.value in names:
                web.go_to(visitor, names[chosen.value])

        chosen.on_update(web.guarded(go))
        frusta.on_update(web.guarded(lambda _: self._show_frusta(frusta.value)))
        compare.on_update(lambda _: session.change(comparison=compare.value))
        share.on_update(lambda _: session.change(share=float(share.value)))

    def _show_frusta(self, wanted: bool) -> None:
        source = self._session.source
        for handle in self._frusta:
            handle.remove()
        self._frusta = []
        for view in evenly_spread(source.views, MAX_FRUSTA) if wanted else []:
            self._frusta.append(self._frustum(source, view))

    def _frustum(self, source: Source, view: Camera) -> Any:
        rotation = view.world_to_camera[:3, :3].T.double()
        handle = self._web.server.scene.add_camera_frustum(
            f"/cameras/{view.uid}",
            fov=focal_to_fov(view.fy, view.height),
            aspect=view.width / view.height,
            scale=FRUSTUM_SHARE * source.surroundings.radius,
            thickness=2.0,
            thickness_units="screen",
            color=TRAIN_COLOR if view in source.train else TEST_COLOR,
            wxyz=matrix_to_quaternion(rotation).numpy(),
            position=view.center.double().numpy(),
        )

        def go(event: Any) -> None:
            visitor = self._web.visitor(event)
            if visitor is not None:
                self._web.go_to(visitor, view)

        handle.on_click(self._web.guarded(go))
        return handle

    def _add_groups(self, source: Source) -> None:
        with self._gui.add_folder("Layers"):
            boxes = {group.name: self._gui.add_checkbox(group.name, True) for group in source.groups}

        def update(_: Any) -> None:
            hidden = frozenset(name for name, box in boxes.items() if not box.value)
            self._session.change(hidden=hidden)

        for box in boxes.values():
            box.on_update(update)

    def _add_crop(self, source: Source) -> None:
        gui, radius = self._gui, source.surroundings.radius
        middle = tuple(round(value, 4) for value in source.surroundings.centre.tolist())
        with gui.add_folder("Crop box", expand_by_default=False):
            self._crop = gui.add_checkbox("crop", False)
            self._centre = gui.add_vector3("middle", middle, step=radius / 200)
            self._size = gui.add_vector3("size", (radius, radius, radius), step=radius / 200)
        self._box: Any = None
        for handle in (self._crop, self._centre, self._size):
            handle.on_update(self._web.guarded(self._set_crop))

    def _set_crop(self, _: Any) -> None:
        if self._box is not None:
            self._box.remove()
            self._box = None
        if not self._crop.value:
            self._session.change(crop=None)
            return
        crop = Crop(tuple(map(float, self._centre.value)), tuple(map(float, self._size.value)))
        self._session.change(crop=crop)
        self._box = self._web.server.scene.add_box(
            "/crop", dimensions=np.maximum(crop.size, 1e-9), wireframe=True, position=crop.centre, color=(250, 190, 40)
        )

    def _add_quality(self) -> None:
        gui, web = self._gui, self._web
        with gui.add_folder("Quality", expand_by_default=False):
            longest = gui.add_slider("longer side, px", 128, LARGEST_PX, 32, web.longest_px)
            lossless = gui.add_checkbox("lossless when still", web.is_lossless)
            scale = gui.add_slider("size of Gaussians", 0.01, 1.0, 0.01, 1.0)

        def update(_: Any) -> None:
            web.longest_px, web.is_lossless = int(longest.value), bool(lossless.value)
            self._session.change(scale=float(scale.value))

        for handle in (longest, lossless, scale):
            handle.on_update(update)


def modes_of(source: Source) -> list[str]:
    """The kinds of picture that a model has."""
    has_features = source.now().model.features is not None
    missing = set() if has_features else {"features", "labels", "similarity"}
    missing |= {"features"} if source.classes else {"labels"}
    return [mode for mode in MODES if mode not in missing]


def _label(source: Source, view: Camera) -> str:
    return view.image_name if view in source.train else f"{view.image_name} (test)"
