"""A corner of a room with textured walls, photographed exactly from an arc, with or without lens distortion."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = (240, 180)
FOCAL = 210.0
TEXTURE_PX = 512
WALLS = (  # (normal axis, position), the other two axes carry the texture
    (1, 1.0),  # floor, y down
    (2, 1.6),  # back
    (0, -1.5),  # left
)


def textures() -> list[np.ndarray]:
    """Blobs of several sizes for each wall, uint8 [T, T, 3]."""
    rng, made = np.random.default_rng(3), []
    for _ in WALLS:
        layers = [cv2.resize(rng.random((n, n, 3)), (TEXTURE_PX,) * 2, interpolation=cv2.INTER_CUBIC)
                  for n in (8, 24, 64, 150)]  # fmt: skip
        mixed = sum(layers) / len(layers)
        made.append(np.clip((mixed - 0.5) * 500 + 128, 0, 255).astype(np.uint8))
    return made


def poses(count: int, span_deg: float = 40.0) -> list[np.ndarray]:
    """World to camera [4, 4] of cameras on an arc that look at the corner."""
    made = []
    for index, angle in enumerate(np.radians(np.linspace(-span_deg / 2, span_deg / 2, count)) + 0.35):
        center = np.array([2.6 * np.sin(angle), -0.5 + 0.15 * (index % 3), 0.4 - 2.6 * np.cos(angle)])
        forward = np.array([-0.4, 0.3, 0.9]) - center
        forward /= np.linalg.norm(forward)
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation, -rotation @ center
        made.append(pose)
    return made


def photograph(pose: np.ndarray, walls: list[np.ndarray], distortion=(0.0, 0.0, 0.0, 0.0), size=SIZE) -> np.ndarray:
    """What a camera with the principal point in the middle sees, uint8 [H, W, 3]; OpenCV's distortion."""
    width, height = size
    column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    matrix = np.array([[FOCAL, 0, width / 2], [0, FOCAL, height / 2], [0, 0, 1]])
    pixels = np.stack([column, row], -1).reshape(-1, 1, 2)
    flat = cv2.undistortPoints(pixels, matrix, np.array(distortion)).reshape(-1, 2)
    rays = np.concatenate([flat, np.ones((len(flat), 1))], 1) @ pose[:3, :3]
    center, nearest = -pose[:3, :3].T @ pose[:3, 3], np.full(len(rays), np.inf)
    image = np.full((len(rays), 3), 128, np.uint8)
    for (axis, position), texture in zip(WALLS, walls, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (position - center[axis]) / rays[:, axis]
        with np.errstate(invalid="ignore"):
            at = (center + distance[:, None] * rays)[:, [a for a in range(3) if a != axis]]
            closer = (distance > 0) & (distance < nearest) & (np.abs(at) < 3).all(1)
        place = ((at[closer] + 3) / 6 * TEXTURE_PX).astype(np.float32)
        image[closer] = cv2.remap(texture, place[:, :1], place[:, 1:], cv2.INTER_LINEAR)[:, 0]
        nearest[closer] = distance[closer]
    return image.reshape(height, width, 3)


def write_photos(
    folder: Path, count: int, distortion=(0.0, 0.0, 0.0, 0.0), size=SIZE, start: int = 0
) -> list[np.ndarray]:
    """Photos `000.png` ... from an arc; returns their poses."""
    walls, views = textures(), poses(count)
    folder.mkdir(parents=True, exist_ok=True)
    for number, pose in enumerate(views):
        Image.fromarray(photograph(pose, walls, distortion)).save(folder / f"{number:03d}.png")
    return views
