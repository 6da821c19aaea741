import socket
import struct
import threading
import time

import numpy as np
import pytest
import torch

from gaussian_renderer import render, sibr_server
from gaussian_renderer.sibr_protocol import picture_bytes
from gaussian_renderer.sibr_server import SibrServer, Wishes
from tests.blobs import REFERENCE, blob_model, ring_cameras
from tests.sibr_client import SibrClient, request_fields

MODEL, CAMERA = blob_model(), ring_cameras(6)[1]


@torch.no_grad()
def draw(request):
    return picture_bytes(render(request.camera, MODEL, settings=REFERENCE).color)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(sibr_server, "SILENT_SEC", 0.6)
    monkeypatch.setattr(sibr_server, "REQUEST_SEC", 0.6)
    server = SibrServer(("127.0.0.1", 0), draw, "/data/Bäume")
    yield server
    server.close()


def wait_until(condition, timeout_sec=5.0):
    end = time.monotonic() + timeout_sec
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def assert_still_serves(server):
    with SibrClient(server.port) as client:
        assert client.ask(request_fields())[1] == "/data/Bäume".encode()


def test_the_picture_is_the_render_truncated_to_bytes(server):
    with SibrClient(server.port) as client:
        for _ in range(3):  # one connection, many requests
            picture, path = client.ask(request_fields(CAMERA))
            assert np.array_equal(picture, draw(type("Asked", (), {"camera": CAMERA})).numpy())
            assert path == "/data/Bäume".encode()
        assert client.ask(request_fields())[0] is None


def test_wishes_last_as_long_as_the_client(server):
    assert server.wishes == Wishes() and not server.has_client
    with SibrClient(server.port) as client:
        client.ask(request_fields(train=0, keep_alive=1))
        assert server.wishes == Wishes(train=False, keep_alive=True) and server.has_client
        client.ask(request_fields())
        assert server.wishes.train
        client.ask(request_fields(train=0))
    wait_until(lambda: server.wishes == Wishes())
    assert not server.has_client


def test_a_request_may_come_in_pieces(server):
    with SibrClient(server.port) as client:
        data = b'{"train":1,"keep_alive":0,"resolution_x":0,"resolution_y":0}'
        for byte in struct.pack("<I", len(data)) + data:
            client.socket.sendall(bytes([byte]))
            time.sleep(0.001)
        assert client.receive(4) == b"\x0c\x00\x00\x00"


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", 2**32 - 1) + b"x" * 100,
        struct.pack("<I", 0),
        struct.pack("<I", 9) + b"{nonsense",
        struct.pack("<I", 2) + b"[]",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_garbage_drops_the_client_with_one_line(server, capsys, data):
    for _ in range(3):  # one that comes again and again is reported once
        with SibrClient(server.port) as client:
            client.socket.sendall(data)
            assert client.is_dropped()
    assert_still_serves(server)
    assert capsys.readouterr().err.count("warning: SIBR viewer at ") == 1


def test_a_silent_and_a_slow_client_are_dropped(server):
    with SibrClient(server.port) as client:
        client.ask(request_fields(train=0))
        start = time.monotonic()
        assert client.is_dropped() and time.monotonic() - start < 3
    wait_until(lambda: server.wishes.train)
    with SibrClient(server.port) as client:
        client.socket.sendall(struct.pack("<I", 1000))
        dropped = threading.Event()

        def drip():
            try:
                while not dropped.is_set():
                    client.socket.sendall(b" ")
                    time.sleep(0.05)
            except OSError:
                return

        threading.Thread(target=drip, daemon=True).start()
        start = time.monotonic()
        assert client.is_dropped() and time.monotonic() - start < 3
        dropped.set()
    assert_still_serves(server)


def test_clients_that_vanish_do_no_harm(server):
    with SibrClient(server.port) as client:
        client.send(request_fields(CAMERA))
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not goodbye
    with SibrClient(server.port) as client:
        client.socket.sendall(b"\x10")
    assert_still_serves(server)


def test_a_drawing_that_fails_drops_the_client(capsys):
    def fail(request):
        raise RuntimeError("no\nmemory")

    server = SibrServer(("127.0.0.1", 0), fail, "")
    try:
        with SibrClient(server.port) as client:
            client.send(request_fields(CAMERA))
            assert client.is_dropped()
        wait_until(lambda: not server.has_client)
        assert "no memory" in capsys.readouterr().err
    finally:
        server.close()


def test_an_address_that_is_taken_is_an_os_error(server):
    with pytest.raises(OSError):
        SibrServer(("127.0.0.1", server.port), draw, "")


def test_closing_ends_a_waiting_client_and_frees_the_port():
    server = SibrServer(("127.0.0.1", 0), draw, "")
    port = server.port
    with SibrClient(port) as client:
        client.ask(request_fields())
        start = time.monotonic()
        server.close()
        assert client.is_dropped() and time.monotonic() - start < 3
    SibrServer(("127.0.0.1", port), draw, "").close()
