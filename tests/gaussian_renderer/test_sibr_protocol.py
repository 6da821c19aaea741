import json
import math
import struct

import pytest
import torch

from gaussian_renderer.sibr_protocol import (
    MAX_JSON_BYTES,
    ProtocolError,
    encode_reply,
    json_length,
    parse_request,
    picture_bytes,
)
from tests.blobs import ring_cameras
from tests.sibr_client import request_fields


def parsed(**changed):
    camera = ring_cameras(6, width=48, height=40)[2]
    return parse_request(json.dumps(request_fields(camera, **changed)).encode())


def test_a_request_is_the_camera_that_was_meant():
    wanted = ring_cameras(6, width=48, height=40)[2]
    found = parsed(train=0, keep_alive=1, scaling_modifier=0.5)
    assert (found.train, found.keep_alive, found.scale_modifier) == (False, True, 0.5)
    torch.testing.assert_close(found.camera.world_to_camera, wanted.world_to_camera)
    for name in ("fx", "fy", "cx", "cy", "width", "height"):
        assert math.isclose(getattr(found.camera, name), getattr(wanted, name), rel_tol=1e-9), name


def test_a_recorded_request_has_opengl_axes():
    """A camera at (0, 0, 5) that looks at the origin: OpenGL's view matrix only shifts by -5 along z."""
    matrix = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, -5, 1]
    data = (
        b'{"train":1,"keep_alive":0,"scaling_modifier":1,"resolution_x":4,"resolution_y":2,"fov_x":1.5,"fov_y":1,'
        b'"view_matrix":' + json.dumps(matrix).encode() + b"}"
    )
    pose = parse_request(data).camera.world_to_camera
    assert pose.tolist() == [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 5], [0, 0, 0, 1]]


def test_unknown_keys_are_ignored():
    forks = {"render_type": "Depth", "edit_text": "x", "slider": {"a": 1}, "single_training_step": 1}
    assert parsed(**forks).camera is not None


def test_resolution_zero_wants_no_picture_and_needs_no_camera():
    data = b'{"train": 0, "keep_alive": 0, "resolution_x": 0, "resolution_y": 600}'
    assert parse_request(data).camera is None


@pytest.mark.parametrize(
    "changed",
    [
        {"resolution_x": 8193},
        {"resolution_y": -1},
        {"resolution_x": 2.5},
        {"resolution_x": "640"},
        {"train": None},
        {"keep_alive": "yes"},
        {"scaling_modifier": 0},
        {"scaling_modifier": float("nan")},
        {"fov_x": 3.2},
        {"fov_y": float("inf")},
        {"fov_y": 10**400},
        {"view_matrix": [0.0] * 16},
        {"view_matrix": [1.0] * 15},
        {"view_matrix": [float("nan")] * 16},
        {"view_matrix": "identity"},
    ],
)
def test_wrong_values_are_refused_in_one_line(changed):
    with pytest.raises(ProtocolError) as error:
        parsed(**changed)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"7"])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(ProtocolError):
        parse_request(data)


@pytest.mark.parametrize("length", [0, MAX_JSON_BYTES + 1, 2**32 - 1])
def test_lengths_are_bounded(length):
    with pytest.raises(ProtocolError):
        json_length(struct.pack("<I", length))
    assert json_length(struct.pack("<I", MAX_JSON_BYTES)) == MAX_JSON_BYTES


def test_replies_byte_by_byte():
    color = torch.tensor([[[0.0, 1.7]], [[0.999, -1.0]], [[0.5, 1.0]]])  # [3, 1, 2]
    pixels = picture_bytes(color)
    assert encode_reply(pixels, "/a b") == bytes([0, 254, 127, 255, 0, 255]) + b"\x04\x00\x00\x00/a b"
    assert encode_reply(None, "") == b"\x00\x00\x00\x00"
    assert encode_reply(None, "/ä") == b"\x03\x00\x00\x00/\xc3\xa4"
