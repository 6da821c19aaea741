"""The page itself: that it is served, and, in a real browser, that what it shows and selects is right."""

import io
import time
import urllib.request

import numpy as np
import pytest
import torch
from PIL import Image

from gaussian_renderer import render
from gaussian_renderer.anchors import project
from tests.blobs import CENTRES, REFERENCE, blob_labels, blob_model
from tests.browser import browser_page
from tests.moving_blobs import moving_blobs, timed_ring
from tests.viewer.scenes import blob_source, desk_served
from utils.image_io import to_uint8
from viewer.client_cameras import view_at
from viewer.live import LiveTraining
from viewer.panels import add_panels
from viewer.row_groups import RowGroup
from viewer.session import Session
from viewer.web import WebViewer

pytest.importorskip("viser")
WIDTH, HEIGHT = 900, 560
FREE = WIDTH - 340  # px at the left that the panel does not cover
NOTES = 210  # px at the top that viser's notes may cover


def wait_until(condition, timeout_sec=30.0):
    end = time.monotonic() + timeout_sec
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


@pytest.fixture
def served(tmp_path):
    """Makes pages of sources; all end with the test."""
    with desk_served() as desk:
        pages = []

        def serve(source, live=None, port=0) -> WebViewer:
            web = WebViewer(Session(source, desk), "127.0.0.1", port)
            pages.append(web)
            add_panels(web, live)
            return web

        yield serve
        for web in pages:
            web.close()


def test_the_page_is_served_and_says_where(served, tmp_path, capsys):
    live = LiveTraining(100)
    groups = (RowGroup("red", blob_labels() == 0),)
    web = served(blob_source(tmp_path, moving_blobs(), timed_ring(), groups=groups), live)
    port = web.server.get_port()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
        assert page.status == 200 and b"<html" in page.read().lower()
    web.announce()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"viewer: http://localhost:{port}" and f"ssh -L {port}:localhost:{port}" in lines[1]
    assert len(lines) == 2 and not web.has_visitors  # viser itself is silent
    other = served(blob_source(tmp_path), port=port)
    assert other.server.get_port() != port  # the next free one


def still(web):
    """Wait until the only visitor has the full picture of what is now."""
    (visitor,) = web._visitors.values()
    wait_until(lambda: visitor.pace._full_at is not None and not visitor.pace._is_busy)
    time.sleep(0.7)  # on its way to the screen
    return visitor


def screen(page) -> np.ndarray:
    """What the browser shows, uint8 [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))


@pytest.mark.slow
def test_a_browser_shows_our_renders_and_selects_what_is_clicked(served, tmp_path):
    web = served(blob_source(tmp_path, background=torch.tensor([0.2, 0.3, 0.4])))
    web.longest_px, web.is_lossless = 4096, True
    session, model = web.session, blob_model()
    with browser_page(WIDTH, HEIGHT) as page:
        page.goto(f"http://127.0.0.1:{web.server.get_port()}")
        wait_until(lambda: web.has_visitors)
        camera = still(web).camera(0.0)
        assert view_at(camera, session.source.views, session.source.surroundings.radius) is session.source.train[0]
        assert (camera.width, camera.height) == (WIDTH, HEIGHT)
        with torch.no_grad():
            direct = to_uint8(render(camera, model, session.source.background, settings=REFERENCE).color)
        shown = screen(page)
        difference = np.abs(shown[NOTES:, :FREE].astype(int) - direct[NOTES:, :FREE])  # below viser's notes
        assert direct[NOTES:, :FREE].std() > 20 and difference.mean() < 1.0 and (difference > 8).mean() < 0.01

        (x, y), *_ = project(camera, CENTRES)[0].tolist()
        page.mouse.click(x, y)
        wait_until(lambda: session.answer is not None)
        assert (session.answer.selection.mask == (blob_labels() == 0)).float().mean() > 0.97
        still(web)
        marked = screen(page)
        changed = np.abs(marked.astype(int) - shown).max(-1) > 8  # the red ball gets a little redder, and an outline
        assert changed[int(y), int(x)] and not changed[HEIGHT - 10, 10]

        page.get_by_role("tab", name="Select").click()
        page.get_by_text("40 of 120 Gaussians").or_(page.get_by_text("of 120 Gaussians by 1 click")).first.wait_for()
        page.get_by_role("button", name="Undo").click()
        wait_until(lambda: session.answer is None)

        page.get_by_role("tab", name="Export").click()
        page.get_by_role("button", name="Selection and rest").click()
        page.get_by_text("nothing is selected").first.wait_for()  # errors are shown where they were caused

        visitor = still(web)
        web.go_to(visitor, session.source.train[3])
        wait_until(lambda: view_at(visitor.camera(0.0), session.source.views, 4.0) is session.source.train[3])
    wait_until(lambda: not web.has_visitors)


@pytest.mark.slow
def test_time_plays_and_a_training_pauses(served, tmp_path):
    live = LiveTraining(100, iteration=7)
    web = served(blob_source(tmp_path, moving_blobs(), timed_ring()), live)
    with browser_page(WIDTH, HEIGHT) as page:
        page.goto(f"http://127.0.0.1:{web.server.get_port()}")
        wait_until(lambda: web.has_visitors)
        page.get_by_text("7 of 100").wait_for()
        live.iteration = 8
        page.get_by_text("8 of 100").wait_for()
        page.get_by_role("button", name="Pause").click()
        wait_until(lambda: live.is_paused)
        page.get_by_role("button", name="Resume").click()
        wait_until(lambda: not live.is_paused)
        page.get_by_role("tab", name="View").click()
        page.get_by_label("play").check()
        seen = set()
        wait_until(lambda: seen.add(round(web.session.state.time, 2)) or len(seen) > 4)
