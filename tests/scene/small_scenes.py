"""Tiny data sets written to a folder, with a few posed pictures of nothing in particular."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from scene.datasets.colmap_model import CAMERA_MODELS

WIDTH, HEIGHT = 24, 16
PINHOLE = ("PINHOLE", WIDTH, HEIGHT, (20.0, 21.0, 11.0, 8.5))
_MODEL_IDS = {name: index for index, (name, _) in enumerate(CAMERA_MODELS)}


@dataclass(frozen=True)
class ColmapContent:
    """What a small COLMAP model holds; every image uses camera 1."""

    names: Sequence[str] = tuple(f"{index:03d}.png" for index in range(10))
    camera: tuple[str, int, int, tuple[float, ...]] = PINHOLE
    num_points: int = 6
    quaternions: dict[str, Sequence[float]] = field(default_factory=dict)

    def pose(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Quaternion wxyz (not normalised) and translation of an image."""
        seed = np.random.default_rng(sum(name.encode()))
        quaternion = np.asarray(self.quaternions.get(name, seed.normal(size=4)), np.float64)
        return quaternion, seed.normal(size=3)

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions [P, 3] and colours [P, 3] uint8."""
        seed = np.random.default_rng(7)
        return seed.normal(size=(self.num_points, 3)), seed.integers(0, 256, (self.num_points, 3), dtype=np.uint8)


def write_images(
    folder: Path, names: Sequence[str], size: tuple[int, int] = (WIDTH, HEIGHT), mode: str = "RGB"
) -> None:
    """Noise pictures with the given relative names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = np.random.default_rng(sum(name.encode()))
        pixels = seed.integers(0, 256, (size[1], size[0], len(mode)), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


def colmap_scene(root: Path, content: ColmapContent | None = None, binary: bool = True) -> Path:
    """A COLMAP data set below `root`; returns `root`."""
    content = content or ColmapContent()
    write_images(root / "images", content.names)
    write_colmap_model(root / "sparse" / "0", content, binary)
    return root


def write_colmap_model(model: Path, content: ColmapContent, binary: bool) -> None:
    """cameras, images and points3D of a model folder."""
    model.mkdir(parents=True, exist_ok=True)
    if binary:
        (model / "cameras.bin").write_bytes(_cameras_bin(content))
        (model / "images.bin").write_bytes(_images_bin(content))
        (model / "points3D.bin").write_bytes(_points_bin(content))
    else:
        (model / "cameras.txt").write_text(_cameras_txt(content))
        (model / "images.txt").write_text(_images_txt(content))
        (model / "points3D.txt").write_text(_points_txt(content))


def _cameras_bin(content: ColmapContent) -> bytes:
    name, width, height, params = content.camera
    header = struct.pack("<QiiQQ", 1, 1, _MODEL_IDS[name], width, height)
    return header + struct.pack(f"<{len(params)}d", *params)


def _images_bin(content: ColmapContent) -> bytes:
    parts = [struct.pack("<Q", len(content.names))]
    for index, name in enumerate(content.names, 1):
        quaternion, translation = content.pose(name)
        parts.append(struct.pack("<i7di", index, *quaternion, *translation, 1) + name.encode() + b"\0")
        keypoints = [(1.5, 2.5, 3), (4.0, 5.0, -1)][: index % 3]
        parts.append(struct.pack("<Q", len(keypoints)) + b"".join(struct.pack("<ddq", *point) for point in keypoints))
    return b"".join(parts)


def _points_bin(content: ColmapContent) -> bytes:
    positions, colors = content.points()
    parts = [struct.pack("<Q", len(positions))]
    for index, (position, color) in enumerate(zip(positions, colors, strict=True)):
        track = index % 4
        parts.append(struct.pack("<Q3d3BdQ", index + 1, *position, *color.tolist(), 0.5, track) + bytes(8 * track))
    return b"".join(parts)


def _cameras_txt(content: ColmapContent) -> str:
    name, width, height, params = content.camera
    return f"# Number of cameras: 1\n1 {name} {width} {height} {' '.join(map(repr, params))}\n"


def _images_txt(content: ColmapContent) -> str:
    lines = [f"# Number of images: {len(content.names)}, mean observations per image: 1"]
    for index, name in enumerate(content.names, 1):
        quaternion, translation = content.pose(name)
        values = " ".join(repr(float(value)) for value in (*quaternion, *translation))
        lines.append(f"{index} {values} 1 {name}")
        lines.append(" ".join(["1.5 2.5 3", "4.0 5.0 -1"][: index % 3]))
    return "\n".join(lines) + "\n"


def _points_txt(content: ColmapContent) -> str:
    positions, colors = content.points()
    lines = []
    for index, (position, color) in enumerate(zip(positions, colors, strict=True)):
        values = " ".join(repr(float(value)) for value in position)
        lines.append(f"{index + 1} {values} {' '.join(map(str, color))} 0.5" + " 1 0" * (index % 4))
    return "\n".join(lines) + "\n"


def orbit_pose(angle_rad: float, radius: float = 4.0) -> list[list[float]]:
    """Camera-to-world in OpenGL axes (y up, looking along -z) of a camera that looks at the origin; world z is up."""
    back = np.array([np.cos(angle_rad), np.sin(angle_rad), 0.0])
    right = np.cross([0.0, 0.0, 1.0], back)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = right, [0, 0, 1], back, radius * back
    return matrix.tolist()


def nerf_frames(paths: Sequence[str], **extra: object) -> list[dict[str, object]]:
    """Frames of a transforms.json, on a circle."""
    return [
        {"file_path": path, "transform_matrix": orbit_pose(0.3 + index), **extra} for index, path in enumerate(paths)
    ]


def write_json(path: Path, document: object) -> None:
    """Plain JSON, NaN allowed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def blender_scene(root: Path, train: int = 4, test: int = 3) -> Path:
    """A NeRF-synthetic data set with RGBA pictures; train and test share their file stems."""
    for part, count in (("train", train), ("test", test)):
        names = [f"{part}/r_{index}" for index in range(count)]
        write_images(root, [f"{name}.png" for name in names], mode="RGBA")
        frames = nerf_frames([f"./{name}" for name in names])
        write_json(root / f"transforms_{part}.json", {"camera_angle_x": 0.7, "frames": frames})
    return root


def transforms_scene(root: Path, count: int = 10, **values: object) -> Path:
    """An instant-ngp data set; `values` go to the top of the file."""
    names = [f"images/{index:04d}.png" for index in range(count)]
    write_images(root, names)
    intrinsics = {"fl_x": 20.0, "fl_y": 21.0, "cx": 11.0, "cy": 8.5, "w": float(WIDTH), "h": float(HEIGHT)}
    write_json(root / "transforms.json", {**intrinsics, **values, "frames": nerf_frames(names)})
    return root
