"""gaussian_renderer/gltf_path.py: the document is read back by its own rules."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace

import numpy as np
import torch

from gaussian_renderer.camera_exchange import write_cameras
from gaussian_renderer.gltf_path import FPS
from tests.blobs import ring_cameras
from utils.transforms import quaternion_to_matrix

CAMERAS = ring_cameras(9, width=64, height=48)


def read(path) -> tuple[dict, list[np.ndarray]]:
    """The document and its accessors."""
    document = json.loads(path.read_text())
    buffer = document["buffers"][0]
    data = base64.b64decode(buffer["uri"].split(",")[1])
    assert len(data) == buffer["byteLength"] and buffer["uri"].startswith("data:application/octet-stream;base64,")
    found = []
    for accessor in document["accessors"]:
        view, width = document["bufferViews"][accessor["bufferView"]], {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
        part = data[view["byteOffset"] :][: view["byteLength"]]
        values = np.frombuffer(part, "<f4").reshape(accessor["count"], width[accessor["type"]])
        assert accessor["componentType"] == 5126 and view["byteOffset"] % 4 == 0
        np.testing.assert_array_equal(values.min(0), np.float32(accessor["min"]))
        np.testing.assert_array_equal(values.max(0), np.float32(accessor["max"]))
        found.append(values)
    return document, found


def test_each_key_is_a_camera(tmp_path):
    write_cameras(tmp_path / "way.gltf", CAMERAS, "gltf")
    document, accessors = read(tmp_path / "way.gltf")
    (animation,) = document["animations"]
    keys = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        np.testing.assert_allclose(accessors[sampler["input"]][:, 0], np.arange(9) / FPS, rtol=1e-6)
        keys[channel["target"]["path"]] = accessors[sampler["output"]]
        assert document["nodes"][channel["target"]["node"]]["camera"] == 0
    xyzw = torch.from_numpy(keys["rotation"].copy())
    assert bool(((xyzw[1:] * xyzw[:-1]).sum(1) > 0).all())  # the short way round
    rotations = quaternion_to_matrix(xyzw[:, [3, 0, 1, 2]])
    for camera, center, rotation in zip(CAMERAS, keys["translation"], rotations, strict=True):
        np.testing.assert_allclose(center, camera.center.numpy(), atol=1e-5)
        right, down, forward = camera.world_to_camera[:3, :3]
        torch.testing.assert_close(rotation, torch.stack([right, -down, -forward], 1), atol=1e-5, rtol=0)
    lens = document["cameras"][0]["perspective"]
    assert math.isclose(lens["yfov"], 2 * math.atan(24 / CAMERAS[0].fy)) and lens["aspectRatio"] == 64 / 48


def test_what_has_no_room_is_said(tmp_path, capsys):
    zoomed = [CAMERAS[0], replace(CAMERAS[1], fx=2 * CAMERAS[1].fx, fy=2 * CAMERAS[1].fy)]
    write_cameras(tmp_path / "way.gltf", zoomed, "gltf")
    assert "a zoom" in capsys.readouterr().err
