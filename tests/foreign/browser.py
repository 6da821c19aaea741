"""A splat file in a WebGL viewer of npm in headless Chromium; tests that need it skip where a part is missing."""

from __future__ import annotations

import functools
import http.server
import io
import json
import math
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scene.cameras import Camera
from tests.browser import browser_page
from utils.node_tools import FOLDER_VARIABLE, node_folder
from utils.transforms import invert_rigid

PAGE = Path(__file__).with_name("viewer.html")
PACKAGES = ("three", "@mkkellogg/gaussian-splats-3d")
FORMATS = {".splat": "Splat", ".ply": "Ply"}
TIME_LIMIT_MS = 120_000


def need_packages(*names: str) -> Path:
    """The folder of npm packages; skips the test when the environment names none that has them."""
    folder = node_folder()
    absent = [name for name in names if folder is None or not (folder / "node_modules" / name).is_dir()]
    if absent:
        pytest.skip(f"no {', '.join(absent)}; npm install it in a folder and set {FOLDER_VARIABLE} to that")
    return folder


def picture_in_viewer(splats: Path, camera: Camera, degree: int) -> np.ndarray:
    """[H, W, 3] uint8: what the viewer shows of a file from a camera whose principal point is the middle."""
    size = camera.width, camera.height
    with browser_page(*size) as page, _served(need_packages(*PACKAGES), splats) as address:
        page.goto(f"{address}/page?{_question(splats, camera, degree)}")
        page.wait_for_function("document.title !== ''", timeout=TIME_LIMIT_MS)
        assert page.title() == "done", page.title()
        shown = page.screenshot()
    return np.asarray(Image.open(io.BytesIO(shown)).convert("RGB"))


def _question(splats: Path, camera: Camera, degree: int) -> str:
    pose = invert_rigid(camera.world_to_camera)
    pose[:, 1:3] *= -1
    fov = math.degrees(2 * math.atan(camera.height / (2 * camera.fy)))
    view = {"matrix": pose.tolist(), "fov": fov, "width": camera.width, "height": camera.height, "degree": degree}
    kind = FORMATS[splats.suffix]
    return urllib.parse.urlencode({"file": f"/{splats.name}", "format": kind, "camera": json.dumps(view)})


@contextmanager
def _served(packages: Path, splats: Path) -> Iterator[str]:
    """The address of a server on this machine alone that knows the page, the packages and one file."""
    handler = functools.partial(_Handler, directory=str(packages))
    _Handler.files = {"/page": PAGE, f"/{splats.name}": splats}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.SimpleHTTPRequestHandler):
    files: dict[str, Path] = {}

    def do_GET(self) -> None:
        """One of our files, or one of the packages."""
        path = self.files.get(urllib.parse.urlsplit(self.path).path)
        if path is None:
            super().do_GET()
            return
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if path.suffix == ".html" else "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        """Silent."""
