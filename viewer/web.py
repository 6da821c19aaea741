"""The web page: a viser server that streams our own renders to every visitor as background pictures."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from scene.cameras import Camera
from utils.errors import UserError
from utils.progress import say, warn
from utils.script import describe
from utils.work_desk import DeskClosed
from viewer.client_cameras import Pose, client_camera, pose_of
from viewer.pace import FULL, Pace, Wanted, picture_size
from viewer.session import Session

if TYPE_CHECKING:
    import viser

TICK_SEC = 1 / 60
SMALL_QUALITY, FULL_QUALITY = 75, 95  # of JPEG
LONGEST_PX = {"cuda": 1920, "cpu": 960}  # longer side of a full picture, to begin with
FAULTS = (ValueError, RuntimeError, OSError, MemoryError)  # that a visitor is told of


def require_viser() -> Any:
    """The library that serves the page; one line where it is missing."""
    try:
        import viser
    except ImportError:
        raise UserError("the web viewer needs viser, which is missing; run: pip install viser") from None
    return viser


@dataclass(eq=False)
class Visitor:
    """One browser."""

    client: viser.ClientHandle
    pace: Pace = field(default_factory=Pace)
    lock: Lock = field(default_factory=Lock)  # of `pace`

    def touch(self) -> None:
        """Something that the visitor sees has changed."""
        with self.lock:
            self.pace.touch(time.monotonic())

    def camera(self, moment: float, longest: int | None = None, scale: float = 1.0) -> Camera:
        """Where the visitor stands, with a picture as large as the canvas or bounded by `longest`."""
        state = self.client.camera
        canvas = state.image_width, state.image_height
        size = canvas if longest is None else picture_size(canvas, longest, scale)
        return client_camera(Pose(state.position, state.wxyz, state.fov), size, moment)


class WebViewer:
    """Serves from the start; `close` ends it.

    Args:
        session: what is shown; its desk must be served by another thread.
        host: address.
        port: its port, or the next free one.
        is_live: whether the model is changing right now.
    """

    def __init__(self, session: Session, host: str, port: int, is_live: Callable[[], bool] = lambda: False) -> None:
        viser = require_viser()
        self.session = session
        self.longest_px = LONGEST_PX["cuda" if session.source.now().model.device.type == "cuda" else "cpu"]
        self.is_lossless = False
        self.jumped_at = 0.0  # s, monotonic: when somebody was put elsewhere
        self.on_tick: list[Callable[[float], None]] = []
        """Called at every tick with the seconds since the last one."""
        self._is_live = is_live
        self._visitors: dict[int, Visitor] = {}
        self._ending = Event()
        self._packer = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        with _silenced():
            self.server = viser.ViserServer(host, port, label="splat-distill", verbose=False)
        self._set_the_stage()
        session.changed = self.touch
        self.server.on_client_connect(self._welcome)
        self.server.on_client_disconnect(lambda client: self._visitors.pop(client.client_id, None))
        self._ticker = Thread(target=self._tick, name="viewer", daemon=True)
        self._ticker.start()

    @property
    def has_visitors(self) -> bool:
        """Whether a browser is there."""
        return bool(self._visitors)

    def announce(self) -> None:
        """Say where the page is, also for those who came by ssh."""
        host, port = self.server.get_host(), self.server.get_port()
        shown = "localhost" if host in ("0.0.0.0", "127.0.0.1") else host
        say(f"viewer: http://{shown}:{port}")
        say(f"  from another computer: ssh -L {port}:localhost:{port} USER@THIS_HOST, then the same address there")

    def close(self) -> None:
        """End the page."""
        self._ending.set()
        self._ticker.join(timeout=2.0)
        self._packer.shutdown(wait=True, cancel_futures=True)
        with _silenced():
            self.server.stop()

    def touch(self) -> None:
        """Let everybody have a new picture."""
        for visitor in list(self._visitors.values()):
            visitor.touch()

    def visitor(self, event: Any) -> Visitor | None:
        """Who pressed a button."""
        return self._visitors.get(event.client_id) if event.client_id is not None else None

    def guarded(self, action: Callable[[Any], None]) -> Callable[[Any], None]:
        """A callback whose errors are shown to the visitor who caused them."""

        def callback(event: Any) -> None:
            try:
                action(event)
            except FAULTS as error:
                self.tell(self.visitor(event), describe(error), is_error=True)

        return callback

    def tell(self, visitor: Visitor | None, text: str, is_error: bool = False) -> None:
        """Show a message to a visitor, or to all of them."""
        for one in [visitor] if visitor is not None else list(self._visitors.values()):
            title, color = ("That did not work", "red") if is_error else ("Done", "teal")
            one.client.add_notification(title, text, color=color, auto_close_seconds=10.0)

    def go_to(self, visitor: Visitor, view: Camera) -> None:
        """Put a visitor where a photograph was taken, at its time."""
        self.jumped_at = time.monotonic()
        self.session.change(time=float(view.time))
        _place(visitor.client, pose_of(view, visitor.client.camera.aspect), self.session.source.surroundings.radius)

    def _set_the_stage(self) -> None:
        server, source = self.server, self.session.source
        server.gui.configure_theme(control_width="medium", show_logo=False, show_share_button=False)
        server.scene.set_up_direction(tuple(source.surroundings.up.tolist()))
        pose = pose_of(source.vantages[0], 16 / 9)
        rotation = source.vantages[0].world_to_camera[:3, :3].double().numpy()
        camera = server.initial_camera
        camera.position = pose.position
        camera.look_at = pose.position + source.surroundings.radius * rotation[2]
        camera.up = -rotation[1]
        camera.fov = pose.fov_y_rad

    def _welcome(self, client: viser.ClientHandle) -> None:
        visitor = Visitor(client)
        self._visitors[client.client_id] = visitor
        client.camera.on_update(lambda _: visitor.touch())
        visitor.touch()

    def _tick(self) -> None:
        last = time.monotonic()
        while not self._ending.wait(TICK_SEC):
            now = time.monotonic()
            for action in self.on_tick:
                action(now - last)
            last = now
            try:
                for visitor in list(self._visitors.values()):
                    self._draw_if_due(visitor, now)
            except DeskClosed:
                return

    def _draw_if_due(self, visitor: Visitor, now: float) -> None:
        with visitor.lock:
            wanted = visitor.pace.due(now, self._is_live())
            if wanted is None:
                return
            visitor.pace.began(wanted, now)
        work = self.session.desk.put(("picture", visitor), lambda: self._draw(visitor, wanted))
        work.add_done_callback(lambda future: self._look_for_faults(future, visitor))

    def _draw(self, visitor: Visitor, wanted: Wanted) -> None:
        """On the owner's thread: draw, and leave the packing to another one."""
        if self._is_gone(visitor):
            return
        start = time.perf_counter()
        camera = visitor.camera(self.session.state.time, self.longest_px, wanted.scale)
        pixels = self.session.paint(camera)
        seconds = time.perf_counter() - start
        self._packer.submit(self._send, visitor, wanted, pixels, seconds)

    def _send(self, visitor: Visitor, wanted: Wanted, pixels: np.ndarray, seconds: float) -> None:
        if self._is_gone(visitor):
            return
        start = time.perf_counter()
        if wanted.kind == FULL and self.is_lossless:
            visitor.client.scene.set_background_image(pixels, format="png")
        else:
            quality = FULL_QUALITY if wanted.kind == FULL else SMALL_QUALITY
            visitor.client.scene.set_background_image(pixels, format="jpeg", jpeg_quality=quality)
        with visitor.lock:
            visitor.pace.ended(wanted, seconds + time.perf_counter() - start)

    def _is_gone(self, visitor: Visitor) -> bool:
        return self._ending.is_set() or visitor.client.client_id not in self._visitors

    def _look_for_faults(self, future: Future, visitor: Visitor) -> None:
        try:
            error = future.exception()
        except CancelledError:
            return
        if error is None:
            return
        warn(f"no picture for the viewer: {describe(error)}")
        self.tell(visitor, describe(error), is_error=True)
        with visitor.lock:
            visitor.pace.ended(None, 0.0)


def _place(client: viser.ClientHandle, pose: Pose, reach: float) -> None:
    camera_to_world = client_camera(pose, (1, 1), 0.0).world_to_camera[:3, :3].T.double().numpy()
    with client.atomic():
        client.camera.position = pose.position
        client.camera.up_direction = -camera_to_world[:, 1]
        client.camera.look_at = pose.position + reach * camera_to_world[:, 2]
        client.camera.fov = pose.fov_y_rad


@contextmanager
def _silenced() -> Iterator[None]:
    """Without what viser prints: only `utils.progress` does."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
