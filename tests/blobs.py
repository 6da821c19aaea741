"""A tiny hand-made scene for tests: three coloured balls of Gaussians with features of their own, seen from a ring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from arguments import ModelParams, SemanticParams, save_config
from gaussian_renderer import RenderSettings, render
from scene.cameras import Camera
from scene.formats import write_splats
from scene.gaussian_model import GaussianModel
from utils.files import write_json
from utils.image_io import write_png
from utils.spherical_harmonics import rgb_to_sh
from utils.transforms import invert_rigid, look_at

REFERENCE = RenderSettings(backend="reference")
CENTRES = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.2]])  # [3, 3] world, y down
COLORS = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.9]])  # [3, 3]
RADIUS = 0.45
FOCAL_SHARE = 1.2  # focal length in image widths


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
        shape = {"fx": FOCAL_SHARE * width, "fy": FOCAL_SHARE * width, "cx": width / 2, "cy": height / 2}
        cameras.append(Camera(index, f"{index:03d}.png", pose, width=width, height=height, **shape))
    return cameras


def write_blob_run(folder: Path, model: GaussianModel | None = None, times: Sequence[float] = ()) -> Path:
    """A data set of the balls in NeRF-synthetic format with labels, and a model folder trained "perfectly" on it.

    Labels are 0 = nothing, k + 1 = ball k. With eight `times`, of the test view and the training views, it is a D-NeRF
    data set; the model folder has no motion. Returns the model folder.
    """
    model = blob_model() if model is None else model
    cameras, data, run = ring_cameras(8), folder / "data", folder / "run"
    if times:
        cameras = [replace(camera, time=time) for camera, time in zip(cameras, times, strict=True)]
    for split, members in (("train", cameras[1:]), ("test", cameras[:1])):
        frames = [_frame(camera, f"{split}/{camera.image_name[:-4]}") for camera in members]
        if times:
            frames = [frame | {"time": camera.time} for frame, camera in zip(frames, members, strict=True)]
        angle = 2 * math.atan(0.5 / FOCAL_SHARE)
        write_json(data / f"transforms_{split}.json", {"camera_angle_x": angle, "frames": frames})
        for camera in members:
            _write_view(data, split, camera, model)
    write_json(data / "labels" / "classes.json", {"0": "nothing", "1": "red", "2": "green", "3": "blue"})
    options = ModelParams(source_path=str(data), model_path=str(run), eval=True, sh_degree=0)
    save_config(run, options, SemanticParams(foundation_model="oracle"))
    write_splats(run / "point_cloud" / "iteration_30" / "point_cloud.ply", model.to_arrays())
    return run


def _frame(camera: Camera, path: str) -> dict:
    """One entry of a NeRF-synthetic file (camera-to-world, OpenGL axes)."""
    camera_to_world = invert_rigid(camera.world_to_camera)
    camera_to_world[:, 1:3] *= -1
    return {"file_path": path, "transform_matrix": camera_to_world.tolist()}


def _write_view(data: Path, split: str, camera: Camera, model: GaussianModel) -> None:
    """Photo and label map of one view."""
    shares = torch.eye(3)[blob_labels(model.num_gaussians // 3)]
    with torch.no_grad():
        output = render(camera, model, settings=REFERENCE, features=shares)
    write_png(data / split / camera.image_name, output.color.clamp(0, 1))
    labels = torch.where(output.alpha[0] > 0.5, output.features.argmax(0) + 1, 0)
    key = f"{split}__{camera.image_name}"
    write_png(data / "labels" / key, labels.to(torch.uint8).numpy())
