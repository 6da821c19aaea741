"""A tiny hand-made scene for tests: three coloured balls of Gaussians with features of their own, seen from a ring."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gaussian_renderer import RenderSettings
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from utils.spherical_harmonics import rgb_to_sh
from utils.transforms import look_at

REFERENCE = RenderSettings(backend="reference")
CENTRES = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.2]])  # [3, 3] world, y down
COLORS = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.9]])  # [3, 3]
RADIUS = 0.45


def blob_model(per_blob: int = 40, feature_dim: int = 4, noise: float = 0.05) -> GaussianModel:
    """Three balls; ball k has the k-th unit vector as its feature, plus noise."""
    generator = torch.Generator().manual_seed(1)
    labels = blob_labels(per_blob)
    count = len(labels)
    offsets = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    offsets *= RADIUS * torch.rand(count, 1, generator=generator) ** (1 / 3)
    features = torch.eye(3, feature_dim)[labels] + noise * torch.randn(count, feature_dim, generator=generator)
    params = {
        "xyz": CENTRES[labels] + offsets,
        "f_dc": rgb_to_sh(COLORS[labels])[:, None],
        "f_rest": torch.zeros(count, 0, 3),
        "opacity": torch.full((count, 1), 3.0),
        "scaling": torch.full((count, 3), math.log(0.13)),
        "rotation": torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        "semantic_feature": features,
    }
    return GaussianModel(params)


def blob_labels(per_blob: int = 40) -> Tensor:
    """Ball [N] of each Gaussian."""
    return torch.arange(3).repeat_interleave(per_blob)


def ring_cameras(count: int = 6, width: int = 48, height: int = 40, arc_rad: float = 2 * math.pi) -> list[Camera]:
    """Cameras on a circle of radius 4 a little above the balls, looking at the middle, named 000.png, 001.png, ..."""
    up = torch.tensor([0.0, -1.0, 0.0])
    cameras = []
    for index in range(count):
        azimuth = arc_rad * index / count - math.pi / 2
        eye = torch.tensor([4 * math.cos(azimuth), -1.0, 4 * math.sin(azimuth)])
        pose = look_at(eye, torch.zeros(3), up)
        shape = {"fx": 1.2 * width, "fy": 1.2 * width, "cx": width / 2, "cy": height / 2}
        cameras.append(Camera(index, f"{index:03d}.png", pose, width=width, height=height, **shape))
    return cameras
