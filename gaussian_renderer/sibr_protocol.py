"""Messages of the SIBR remote viewer (of 3D Gaussian Splatting): requests in, replies out, as bytes.

A request is a 32-bit little-endian length and a JSON object; a reply is the picture, if one was asked for, as RGB bytes
without a header, and then the length and the bytes of the data set's path.
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass

import torch
from torch import Tensor

from scene.cameras import Camera
from utils.transforms import fov_to_focal

LENGTH = struct.Struct("<I")
MAX_JSON_BYTES = 1 << 20
MAX_SIDE_PX = 8192
MAX_SCALE = 1000.0
ORTHONORMAL = 1e-2  # how far the rotation of a view may be from one: float32 text of a hand-held camera


class ProtocolError(ValueError):
    """What came is no request, in a few words."""


@dataclass(frozen=True)
class SibrRequest:
    """What a viewer asks for."""

    train: bool
    """Training goes on; else it waits."""
    keep_alive: bool
    """The server stays after the last iteration."""
    scale_modifier: float = 1.0
    """Factor on every Gaussian's scale."""
    camera: Camera | None = None
    """The view; None = no picture is wanted."""


def json_length(header: bytes) -> int:
    """Bytes of the JSON that follows a header of four bytes."""
    (length,) = LENGTH.unpack(header)
    if not 0 < length <= MAX_JSON_BYTES:
        raise ProtocolError(f"a request of {length} bytes; expected 1 to {MAX_JSON_BYTES}")
    return length


def parse_request(data: bytes) -> SibrRequest:
    """A request from its JSON; keys that are not known are ignored."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise ProtocolError("a request that is no JSON") from None
    if not isinstance(fields, dict):
        raise ProtocolError("a request that is no JSON object")
    train, keep_alive = _switch(fields, "train"), _switch(fields, "keep_alive")
    width, height = _side(fields, "resolution_x"), _side(fields, "resolution_y")
    if width == 0 or height == 0:
        return SibrRequest(train, keep_alive)
    scale = _number(fields, "scaling_modifier")
    if not 0 < scale <= MAX_SCALE:
        raise ProtocolError(f"scaling_modifier {scale:g}")
    return SibrRequest(train, keep_alive, scale, _camera(fields, width, height))


def encode_reply(pixels: Tensor | None, source_path: str) -> bytes:
    """A reply with a picture, uint8 [H, W, 3], or without one; the path in the bytes of the file system."""
    picture = b"" if pixels is None else pixels.contiguous().cpu().numpy().tobytes()
    path = os.fsencode(source_path)
    return picture + LENGTH.pack(len(path)) + path


def picture_bytes(color: Tensor) -> Tensor:
    """A rendered image [3, H, W] as uint8 [H, W, 3], clamped and truncated."""
    return (color.detach().clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0)


def _camera(fields: dict, width: int, height: int) -> Camera:
    fx, fy = (fov_to_focal(_angle(fields, name), side) for name, side in (("fov_x", width), ("fov_y", height)))
    pose = _world_to_camera(fields.get("view_matrix"))
    return Camera(0, "sibr", pose, fx, fy, width / 2, height / 2, width, height)


def _world_to_camera(values: object) -> Tensor:
    """[4, 4] from the column-major dump of a world-to-camera matrix with OpenGL's axes."""
    if not isinstance(values, list) or len(values) != 16 or not all(_is_number(value) for value in values):
        raise ProtocolError("a view_matrix that is not 16 numbers")
    rows = torch.tensor(values, dtype=torch.float64).reshape(4, 4)  # acts on row vectors
    rows[:, 1:3] *= -1
    pose = rows.T
    rotation = pose[:3, :3]
    defect = float((rotation @ rotation.T - torch.eye(3, dtype=torch.float64)).abs().max())
    if not defect < ORTHONORMAL or not torch.isfinite(pose).all() or torch.linalg.det(rotation) < 0:
        raise ProtocolError("a view_matrix that is no rigid motion")
    pose[3] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    return pose.float()


def _angle(fields: dict, name: str) -> float:
    value = _number(fields, name)
    if not 0 < value < math.pi:
        raise ProtocolError(f"{name} {value:g}")
    return value


def _side(fields: dict, name: str) -> int:
    value = _number(fields, name)
    if value != int(value) or not 0 <= value <= MAX_SIDE_PX:
        raise ProtocolError(f"{name} {value:g}; expected 0 to {MAX_SIDE_PX}")
    return int(value)


def _switch(fields: dict, name: str) -> bool:
    return bool(_number(fields, name))


def _number(fields: dict, name: str) -> float:
    value = fields.get(name)
    if not _is_number(value):
        raise ProtocolError(f"a request without a number for {name}")
    return float(value)


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False
