"""Camera paths as glTF 2.0: one node with a perspective camera, whose place and direction are animated."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import numpy as np
import torch

from gaussian_renderer.foreign_paths import lost_in_nerfstudio, opengl_pose
from scene.cameras import Camera
from utils.transforms import matrix_to_quaternion

FPS = 30
NEAR = 0.01
_FLOAT = 5126  # number of 32-bit floats in glTF


def gltf_path(cameras: Sequence[Camera]) -> dict[str, object]:
    """A `.gltf` document, without other files, of cameras that are frames of 1 / `FPS` seconds.

    Axes of the camera are those of glTF (y up, looking along -z); the world stays as it is.
    """
    poses = np.stack([opengl_pose(camera) for camera in cameras])  # [F, 4, 4] camera to world
    columns = {
        "seconds": np.arange(len(cameras)) / FPS,
        "translation": poses[:, :3, 3],
        "rotation": _quats_xyzw(poses[:, :3, :3]),
    }
    arrays = {name: np.ascontiguousarray(values, "<f4") for name, values in columns.items()}
    targets = ("translation", "rotation")
    animation = {
        "samplers": [{"input": 0, "output": number, "interpolation": "LINEAR"} for number in (1, 2)],
        "channels": [{"sampler": i, "target": {"node": 0, "path": path}} for i, path in enumerate(targets)],
    }
    first = {"translation": arrays["translation"][0].tolist(), "rotation": arrays["rotation"][0].tolist()}
    return {
        "asset": {"version": "2.0", "generator": "splat-distill"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "camera", "camera": 0, **first}],
        "cameras": [_lens(cameras[0])],
        "animations": [animation],
        **_buffers(list(arrays.values())),
    }


def lost_in_gltf(cameras: Sequence[Camera]) -> list[str]:
    """What of these cameras the document cannot say."""
    angles = {round(_angle_rad(camera), 6) for camera in cameras}
    return [*lost_in_nerfstudio(cameras), *(["a zoom"] if len(angles) > 1 else [])]


def _lens(camera: Camera) -> dict[str, object]:
    shape = {"yfov": _angle_rad(camera), "aspectRatio": camera.width / camera.height, "znear": NEAR}
    return {"type": "perspective", "perspective": shape}


def _angle_rad(camera: Camera) -> float:
    """From the upper to the lower edge of the picture."""
    return 2 * math.atan(camera.height / (2 * camera.fy))


def _quats_xyzw(rotations: np.ndarray) -> np.ndarray:
    """Unit quaternions [F, 4] of rotations [F, 3, 3], each on the side of the one before, so that they turn shortly."""
    quats = np.roll(matrix_to_quaternion(torch.from_numpy(rotations)).numpy(), -1, axis=1)
    flips = np.where((quats[1:] * quats[:-1]).sum(1) < 0, -1.0, 1.0)
    quats[1:] *= np.cumprod(flips)[:, None]
    return quats


def _buffers(arrays: Sequence[np.ndarray]) -> dict[str, object]:
    """Accessors of arrays [F] or [F, D] float32, one after the other in a buffer inside the document."""
    kinds = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
    accessors, views, start = [], [], 0
    for number, values in enumerate(arrays):
        table = values.reshape(len(values), -1)
        bounds = {"min": table.min(0).tolist(), "max": table.max(0).tolist()}
        kind = {"componentType": _FLOAT, "count": len(values), "type": kinds[table.shape[1]]}
        accessors.append({"bufferView": number, **kind, **bounds})
        views.append({"buffer": 0, "byteOffset": start, "byteLength": values.nbytes})
        start += values.nbytes
    data = base64.b64encode(b"".join(values.tobytes() for values in arrays)).decode("ascii")
    buffer = {"byteLength": start, "uri": f"data:application/octet-stream;base64,{data}"}
    return {"accessors": accessors, "bufferViews": views, "buffers": [buffer]}
