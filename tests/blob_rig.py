"""Three balls in a bowl, of which the red one rises, seen by a rig: a data set of Dynamic 3D Gaussians' layout."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gaussian_renderer import render
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from tests.blobs import REFERENCE, blob_model, ring_cameras
from utils.files import write_json
from utils.image_io import write_png
from utils.spherical_harmonics import rgb_to_sh, sh_to_rgb

SPEED = 0.06  # world units upwards from one moment to the next
NEWCOMER = torch.tensor([0.0, -0.4, -0.9])  # [3] world, y down: where it appears
PER_BLOB, BOWL, BOWL_RADIUS = 40, 300, 7.0


def rig_model() -> tuple[GaussianModel, Tensor]:
    """The balls and a bowl around the cameras, at the first moment, and who is red [N, 1]."""
    balls = blob_model(PER_BLOB).with_features(None)
    directions = torch.nn.functional.normalize(torch.randn(BOWL, 3, generator=torch.Generator().manual_seed(2)), dim=1)
    bowl = {
        "xyz": BOWL_RADIUS * directions,
        "f_dc": rgb_to_sh(0.5 + 0.4 * directions)[:, None],
        "f_rest": torch.zeros(BOWL, 0, 3),
        "opacity": torch.full((BOWL, 1), 4.0),
        "scaling": torch.full((BOWL, 3), math.log(1.0)),
        "rotation": torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(BOWL, 1),
    }
    params = {name: torch.cat([balls.params[name].detach(), value]) for name, value in bowl.items()}
    red = torch.zeros(len(balls) + BOWL, 1)
    red[:PER_BLOB] = 1
    return GaussianModel(params), red


def with_newcomer(model: GaussianModel, red: Tensor) -> tuple[GaussianModel, Tensor]:
    """The scene with a yellow ball in its middle, and who may move [N, 1]."""
    ball = {name: value.detach()[:PER_BLOB].clone() for name, value in model.params.items()}
    first = rig_model()[0].means.detach()[:PER_BLOB]
    ball["xyz"] = NEWCOMER + 0.7 * (first - first.mean(0))
    ball["f_dc"] = rgb_to_sh(torch.tensor([0.9, 0.8, 0.1])).expand(PER_BLOB, 1, 3)
    params = {name: torch.cat([value.detach(), ball[name]]) for name, value in model.params.items()}
    return GaussianModel(params), torch.cat([red, torch.ones(PER_BLOB, 1)])


def write_blob_rig(folder: Path, moments: int = 4, cameras: int = 7, newcomer: int | None = None) -> Path:
    """Pictures of all cameras at all moments, the last camera held out, and points inside the balls.

    `newcomer` is the number of the moment at which a fourth ball appears, which stays where it is.
    """
    (model, red), views = rig_model(), ring_cameras(cameras, width=64, height=48)
    for step in range(moments):
        moved = {"xyz": model.means.detach() - step * SPEED * red * torch.tensor([0.0, 1.0, 0.0])}
        at_step, label = GaussianModel(dict(model.params) | moved), red
        if newcomer is not None and step >= newcomer:
            at_step, label = with_newcomer(at_step, red)
        for view in views:
            _write_view(folder, view, step, at_step, label)
    for split, chosen in (("train", views[:-1]), ("test", views[-1:])):
        write_json(folder / f"{split}_meta.json", _meta(chosen, moments))
    colors = sh_to_rgb(model.params["f_dc"].detach()[:, 0]).clamp(0, 1)
    np.savez(folder / "init_pt_cld.npz", data=torch.cat([model.means.detach(), colors, red], dim=1).numpy())
    return folder


def _write_view(folder: Path, view: Camera, step: int, model: GaussianModel, red: Tensor) -> None:
    with torch.no_grad():
        output = render(view, model, settings=REFERENCE, features=red)
    picture = (output.color.clamp(0, 1).permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    path = folder / "ims" / str(view.uid) / f"{step:06d}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=98, subsampling=0)
    write_png(folder / "seg" / str(view.uid) / f"{step:06d}.png", (output.features[0] > 0.5).to(torch.uint8).numpy())


def _meta(views: list[Camera], moments: int) -> dict:
    matrices = [[[v.fx, 0, v.cx], [0, v.fy, v.cy], [0, 0, 1]] for v in views]
    return {
        "w": views[0].width,
        "h": views[0].height,
        "fn": [[f"{view.uid}/{step:06d}.jpg" for view in views] for step in range(moments)],
        "cam_id": [[view.uid for view in views]] * moments,
        "k": [matrices] * moments,
        "w2c": [[view.world_to_camera.tolist() for view in views]] * moments,
    }
