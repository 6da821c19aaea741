"""The server of the SIBR remote viewer: one client at a time, on a thread of its own that nobody waits for."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread

from torch import Tensor

from gaussian_renderer.sibr_protocol import (
    LENGTH,
    ProtocolError,
    SibrRequest,
    encode_reply,
    json_length,
    parse_request,
)
from utils.progress import say, warn

ACCEPT_SEC = 0.25  # between two looks whether the server is to end
SILENT_SEC = 10.0  # without a request, after which a client is taken for lost
REQUEST_SEC = 5.0  # from the first byte of a request to its last
REPLY_SEC = 10.0  # in which a client takes a reply


@dataclass(frozen=True)
class Wishes:
    """What the client wants of the training; without a client nothing."""

    train: bool = True
    keep_alive: bool = False


class SibrServer:
    """Listens from the start; `close` ends it.

    Args:
        address: numeric IP and port; port 0 = any that is free.
        draw: the picture of a request's camera, uint8 [H, W, 3]; called on the server's thread.
        source_path: of the data set, which the viewer opens; empty = none.

    Raises:
        OSError: the address is not free.
    """

    def __init__(self, address: tuple[str, int], draw: Callable[[SibrRequest], Tensor], source_path: str) -> None:
        self.wishes = Wishes()
        self.has_client = False
        self._draw, self._source_path = draw, source_path
        self._ending = Event()
        self._client: socket.socket | None = None
        self._told = ""  # the last complaint: a client that comes again and again is reported once
        self._listener = socket.create_server(address, family=_family(address[0]), backlog=1)
        self._listener.settimeout(ACCEPT_SEC)
        self._thread = Thread(target=self._run, name="sibr", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened to."""
        return self._listener.getsockname()[1]

    def close(self) -> None:
        """Drop the client, free the port and end the thread."""
        self._ending.set()
        client = self._client
        if client is not None:
            _shut(client)
        self._thread.join(timeout=2.0)
        self._listener.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                client, address = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:  # the client had left already, or the listener was closed
                self._ending.wait(ACCEPT_SEC)
                continue
            with client:
                self._client, self.has_client = client, True
                self._attend(client, f"{address[0]}:{address[1]}")
                self._client, self.has_client, self.wishes = None, False, Wishes()

    def _attend(self, client: socket.socket, name: str) -> None:
        """Answer requests until the client leaves, or sends what is none."""
        try:
            while not self._ending.is_set():
                request = self._next_request(client)
                if request is None:
                    return
                self.wishes = Wishes(request.train, request.keep_alive)
                pixels = None if request.camera is None else self._draw(request)
                client.settimeout(REPLY_SEC)
                client.sendall(encode_reply(pixels, self._source_path))
        except TimeoutError:
            self._tell(say, f"SIBR viewer at {name} fell silent and was disconnected", name)
        except OSError:
            return  # it has vanished, as viewers do
        except (ValueError, RuntimeError) as error:
            if not self._ending.is_set():
                self._tell(warn, f"SIBR viewer at {name} was disconnected: {' '.join(str(error).split())}", name)

    def _next_request(self, client: socket.socket) -> SibrRequest | None:
        """The next request; None where the client has left instead."""
        first = _receive(client, 1, SILENT_SEC)
        if not first:
            return None
        deadline = time.monotonic() + REQUEST_SEC
        header = first + _receive_all(client, LENGTH.size - 1, deadline)
        return parse_request(_receive_all(client, json_length(header), deadline))

    def _tell(self, how: Callable[[str], None], text: str, name: str) -> None:
        complaint = text.replace(name, "")
        if complaint != self._told:
            self._told = complaint
            how(text)


def _receive_all(client: socket.socket, count: int, deadline: float) -> bytes:
    """Exactly `count` bytes, all of them before the deadline (monotonic seconds)."""
    parts, missing = [], count
    while missing:
        part = _receive(client, missing, deadline - time.monotonic())
        if not part:
            raise ProtocolError(f"it left within a request, {missing} of {count} bytes before its end")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _receive(client: socket.socket, count: int, timeout_sec: float) -> bytes:
    if timeout_sec <= 0:
        raise TimeoutError
    client.settimeout(timeout_sec)
    return client.recv(min(count, 1 << 16))


def _shut(client: socket.socket) -> None:
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has left by itself


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
