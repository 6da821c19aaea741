"""A SIBR remote viewer for tests, written from the protocol alone: bytes out, bytes in."""

from __future__ import annotations

import json
import socket
import struct

import numpy as np
from torch import Tensor

from scene.cameras import Camera
from utils.transforms import focal_to_fov


def request_fields(camera: Camera | None = None, **changed: object) -> dict:
    """All keys that the viewer sends, with its own conventions for matrices."""
    fields = {
        "train": 1,
        "shs_python": 0,
        "rot_scale_python": 0,
        "scaling_modifier": 1.0,
        "resolution_x": 0,
        "resolution_y": 0,
        "fov_y": 1.0,
        "fov_x": 1.0,
        "z_far": 100.0,
        "z_near": 0.01,
        "keep_alive": 0,
        "view_matrix": [1.0] * 16,
        "view_projection_matrix": [1.0] * 16,
    }
    if camera is not None:
        fields |= {"resolution_x": camera.width, "resolution_y": camera.height}
        fields |= {"fov_x": focal_to_fov(camera.fx, camera.width), "fov_y": focal_to_fov(camera.fy, camera.height)}
        fields |= {"view_matrix": gl_dump(camera.world_to_camera)}
    return fields | changed


def gl_dump(world_to_camera: Tensor) -> list[float]:
    """OpenGL's world-to-camera matrix (y up, z backwards), column by column."""
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    return [float(value) for value in (flip @ world_to_camera.double().numpy()).flatten(order="F")]


class SibrClient:
    """One connection."""

    def __init__(self, port: int, timeout_sec: float = 20.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_sec)

    def __enter__(self) -> SibrClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, fields: dict) -> None:
        data = json.dumps(fields).encode()
        self.socket.sendall(struct.pack("<I", len(data)) + data)

    def receive(self, count: int) -> bytes:
        """Exactly `count` bytes; ConnectionError where the server has hung up."""
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError(f"{len(data)} of {count} bytes")
            data += part
        return data

    def ask(self, fields: dict) -> tuple[np.ndarray | None, bytes]:
        """The picture [H, W, 3] (None without one), and the bytes of the path."""
        self.send(fields)
        width, height = fields["resolution_x"], fields["resolution_y"]
        picture = None
        if width and height:
            picture = np.frombuffer(self.receive(width * height * 3), np.uint8).reshape(height, width, 3)
        (length,) = struct.unpack("<I", self.receive(4))
        return picture, self.receive(length)

    def is_dropped(self) -> bool:
        """Whether the server hangs up (waits for it)."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
