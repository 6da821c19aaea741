"""Things that come into view while a scene is followed: found where the pictures of one moment agree on them.

A picture cries for something where it shows what no Gaussian stands for. Points at which nearly all pictures that see
them cry fill the visual hull of the newcomer; each becomes a Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ndraster
import torch
import torch.nn.functional as F
from torch import Tensor

from gaussian_renderer.anchors import project
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from scene.initialization import INITIAL_OPACITY, MIN_DISTANCE2
from training.parameter_surgery import RowEdit, apply_edit
from utils.progress import say
from utils.spherical_harmonics import rgb_to_sh

if TYPE_CHECKING:
    from training.trainer import Trainer

MIN_COLOR_ERROR = 0.15  # mean over the channels, at which a picture without masks cries
SPECK_PX = 3  # narrower patches are not taken seriously
MIN_AREA = 0.0005  # of a usual picture that must cry
AGREEMENT = 0.8  # share of the pictures with a point in frame that must cry there
MIN_VIEWS = 3  # that must have a point in frame, or all if there are fewer
NUM_TRIED = 100_000  # points along rays through crying pixels
MIN_POINTS = 30  # of a newcomer
POINTS_PER_PIXEL = 4  # Gaussians per crying pixel of a usual picture
MAX_POINTS = 3000


@dataclass(frozen=True)
class Witness:
    """One picture of the moment."""

    camera: Camera
    image: Tensor  # [3, H, W] the truth
    crying: Tensor  # [H, W] bool: here is something that is not drawn
    surplus: float  # share of its pixels that cry, less those at which something drawn is not there


@dataclass(frozen=True)
class Newcomers:
    """Points of things that are not there yet."""

    points: Tensor  # [B, 3] world
    colors: Tensor  # [B, 3] RGB


@torch.no_grad()
def welcome_newcomers(trainer: Trainer) -> None:
    """Look for newcomers in all pictures of the moment, and give them Gaussians."""
    model, motion = trainer.model, trainer.model.motion
    witnesses = [witness_of(trainer, trainer.scene.train[index]) for index in motion.admitted]
    least = max(MIN_POINTS, trainer.options.tracking.num_neighbours + 1)
    found = find_newcomers(witnesses, motion.setup.center, motion.setup.radius, least)
    if found is None:
        return
    add_rows(model, trainer.optimizer, found)
    motion.welcome(model)
    trainer.density.reset_statistics(model)
    say(f"moment {motion.step + 1}: something new, {len(found.points)} Gaussians for it")


def witness_of(trainer: Trainer, camera: Camera) -> Witness:
    """What one picture has to say about the moment as it is rendered now."""
    background = trainer.background.fixed
    truth = trainer.scene.images.get(camera, background)
    output = trainer.draw(camera, background, truth)
    if output.features is not None:
        drawn, wanted = output.features[0] > 0.5, truth.foreground[0] > 0.5
        crying, denied = wanted & ~drawn, drawn & ~wanted
    else:
        crying = (output.color - truth.image).abs().mean(0) > MIN_COLOR_ERROR
        denied = torch.zeros_like(crying)
    if truth.weight is not None:
        crying = crying & (truth.weight[0] > 0.5)
    crying = without_specks(crying)
    surplus = float(crying.float().mean() - without_specks(denied).float().mean())
    return Witness(camera, truth.image, crying, surplus)


def without_specks(mask: Tensor) -> Tensor:
    """A mask [H, W] without what is narrower than a speck (its morphological opening)."""
    pad = SPECK_PX // 2
    kept = -F.max_pool2d(-mask.float()[None], SPECK_PX, stride=1, padding=pad)
    return F.max_pool2d(kept, SPECK_PX, stride=1, padding=pad)[0] > 0.5


def find_newcomers(
    witnesses: Sequence[Witness],
    center: tuple[float, float, float],  # of the scene, world
    radius: float,  # of the scene, world units
    least: int,  # points that a newcomer must have
) -> Newcomers | None:
    """Points that nearly all pictures agree on, or None; drawn at random."""
    area = torch.tensor([witness.surplus for witness in witnesses]).median().item()
    if area < MIN_AREA:
        return None
    candidates = torch.cat([tried_points(w, center, radius, NUM_TRIED // len(witnesses)) for w in witnesses])
    chosen, colors = agreed(witnesses, candidates)
    points = candidates[chosen]
    if len(points) < least:
        return None
    pixels = area * witnesses[0].crying.numel()
    count = min(MAX_POINTS, max(least, round(POINTS_PER_PIXEL * pixels)))
    kept = torch.randperm(len(points))[:count].to(points.device)
    return Newcomers(points[kept], colors[chosen][kept])


def tried_points(witness: Witness, center: tuple[float, float, float], radius: float, count: int) -> Tensor:
    """World points [count, 3] along rays through crying pixels, as far as the other side of the scene; none if none
    cries."""
    camera = witness.camera
    pixels = witness.crying.nonzero()  # (row, column)
    if not len(pixels):
        return torch.empty(0, 3, device=pixels.device)
    camera_to_world = torch.linalg.inv(camera.world_to_camera).to(witness.image)
    eye = camera_to_world[:3, 3]
    reach = float((eye - eye.new_tensor(center)).norm()) + radius
    drawn = pixels[torch.randint(len(pixels), (count,)).to(pixels.device)]
    spot, z = torch.rand(count, 2).to(eye) + drawn, reach * torch.rand(count).to(eye)
    x, y = (spot[:, 1] - camera.cx) / camera.fx * z, (spot[:, 0] - camera.cy) / camera.fy * z
    return torch.stack([x, y, z], dim=1) @ camera_to_world[:3, :3].T + eye


def agreed(witnesses: Sequence[Witness], points: Tensor) -> tuple[Tensor, Tensor]:
    """Which of the points [P, 3] nearly all witnesses cry for [P], and the mean colours of their pixels [P, 3]."""
    in_frame, cries = points.new_zeros(len(points)), points.new_zeros(len(points))
    colors = torch.zeros_like(points)
    for witness in witnesses:
        camera = witness.camera
        pixels, depth = project(camera, points)
        columns, rows = pixels.floor().unbind(1)
        inside = (depth > 0) & (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
        columns, rows = columns.clamp(0, camera.width - 1).long(), rows.clamp(0, camera.height - 1).long()
        crying = inside & witness.crying[rows, columns]
        in_frame, cries = in_frame + inside, cries + crying
        colors += witness.image[:, rows, columns].T * crying[:, None]
    chosen = (in_frame >= min(MIN_VIEWS, len(witnesses))) & (cries >= AGREEMENT * in_frame)
    return chosen, colors / cries.clamp_min(1)[:, None]


def add_rows(model: GaussianModel, optimizer: torch.optim.Optimizer, found: Newcomers) -> None:
    """Faint round Gaussians at the points, behind those of the model; what else a Gaussian has is zero."""
    num_old, count = len(model), len(found.points)
    device = found.points.device
    source = torch.cat([torch.arange(num_old, device=device), torch.zeros(count, dtype=torch.long, device=device)])
    edit = RowEdit(source, torch.arange(num_old + count, device=device) >= num_old)
    replaced = {name: edit.take_fresh(value.detach()) for name, value in model.params.items()}
    spacing2 = ndraster.mean_neighbour_distance2(found.points).to(device).clamp_min(MIN_DISTANCE2)
    replaced["xyz"][num_old:] = found.points
    replaced["f_dc"][num_old:, 0] = rgb_to_sh(found.colors)
    replaced["scaling"][num_old:] = 0.5 * spacing2.log()[:, None]
    replaced["opacity"][num_old:] = torch.logit(torch.tensor(INITIAL_OPACITY)).item()
    replaced["rotation"][num_old:, 0] = 1.0
    apply_edit(model.params, optimizer, edit, replaced)
