"""From masks of views to Gaussians: how much of each lies inside, and how a prompt in one view serves the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ndraster import FeatureLift, Lifted
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from gaussian_renderer import DEFAULT_SETTINGS, RenderSettings, render
from gaussian_renderer.frames import Frame
from gaussian_renderer.membership import selection_mask
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from scene.prompts import SAME_SURFACE, Box, Point, Surface
from utils.errors import UserError

MIN_SEEN_PX = 16  # of what was found so far, for a view to be asked about it
BOX_QUANTILES = (0.02, 0.98)  # of the projected points of a mask: its box without stray points


@dataclass(frozen=True)
class ViewPrompt:
    """Points and at most one box in the pixels of one view."""

    positive: tuple[Point, ...] = ()
    negative: tuple[Point, ...] = ()
    box: Box | None = None


@dataclass(frozen=True)
class Anchors:
    """A prompt in space."""

    positive: Tensor  # [P, 3] world
    negative: Tensor  # [M, 3] world
    boxed: Tensor | None  # [S, 3] world: the surface that the box was found to hold


Draw = Callable[[Camera], Surface]  # the view as the decoder wants it
Decode = Callable[[Camera, Surface, ViewPrompt], Tensor]  # -> mask [H, W] bool


@torch.no_grad()
def lift_masks(
    model: GaussianModel, views: Iterable[tuple[Camera, Tensor]], settings: RenderSettings = DEFAULT_SETTINGS
) -> Lifted:
    """Shares [N, K] of each Gaussian's blending weight over all views that lie inside masks [K, H, W] of the views."""
    running: FeatureLift | None = None
    raster = settings.raster_settings(model.active_sh_degree)
    for camera, masks in views:
        gaussians = model.at(camera.time)
        running = running or FeatureLift(gaussians, masks.shape[0], raster, backend=settings.backend)
        running.add(camera.pinhole, masks.to(gaussians.means), gaussians)
    if running is None:
        raise ValueError("no view; expected at least one with its masks")
    return running.finish()


@torch.no_grad()
def lift_prompt(
    model: GaussianModel,
    cameras: Sequence[Camera],  # the one in which the prompt was given first
    prompt: ViewPrompt,
    draw: Draw,
    decode: Decode,
    settings: RenderSettings = DEFAULT_SETTINGS,
) -> Tensor:
    """Share [N] of each Gaussian inside the masks that a prompt in one view has in all views that show its object.

    Points are lifted to space by the depth of the surface under them, a box by the surface that its mask shows. Views
    that do not see the points come second: there the middle of what was found so far is the prompt.
    """
    masks = dict(enumerate(prompted_masks(cameras, prompt, draw, decode)))
    masks = {index: mask for index, mask in masks.items() if mask is not None}
    found = _share(model, cameras, masks, settings) > 0.5
    for index, camera in enumerate(cameras):
        point = None if index in masks else middle_of(camera, model, found, settings)
        if point is not None:
            masks[index] = decode(camera, draw(camera), ViewPrompt((point,)))
    return _share(model, cameras, masks, settings)


def _share(
    model: GaussianModel, cameras: Sequence[Camera], masks: dict[int, Tensor], settings: RenderSettings
) -> Tensor:
    views = ((cameras[index], mask[None]) for index, mask in masks.items())
    return lift_masks(model, views, settings).features[:, 0]


def prompted_masks(
    cameras: Sequence[Camera], prompt: ViewPrompt, draw: Draw, decode: Decode
) -> Iterator[Tensor | None]:
    """Masks [H, W] of the views; None where no point of the prompt, which is given in the first view, is to be seen."""
    first, *others = cameras
    surface = draw(first)
    mask = decode(first, surface, prompt)
    if not mask.any():
        raise UserError(f"the mask of {first.image_name} is empty; expected one at the prompt; add or move points")
    yield mask
    anchors = anchor(first, surface, prompt, mask)
    for camera in others:
        surface = draw(camera)
        local = prompt_in_view(camera, surface, anchors)
        yield None if local is None else decode(camera, surface, local)


def middle_of(camera: Camera, model: GaussianModel, chosen: Tensor, settings: RenderSettings) -> Point | None:
    """The pixel deepest inside what a view shows of the `chosen` Gaussians [N]; None where that is next to nothing."""
    output = render(camera, model, settings=settings, features=chosen[:, None].float())
    mask = selection_mask(Frame(0, camera, output))
    return deepest_pixel(mask) if int(mask.sum()) >= MIN_SEEN_PX else None


def anchor(camera: Camera, surface: Surface, prompt: ViewPrompt, mask: Tensor) -> Anchors:
    """The prompt in space; without a positive point, the pixel deepest inside the mask [H, W] stands for one."""
    positive = prompt.positive or (deepest_pixel(mask),)
    boxed = None
    if prompt.box is not None:
        rows, columns = torch.nonzero(mask & (surface.depth[0] > 0), as_tuple=True)
        boxed = unproject(camera, surface.depth[0], torch.stack([columns, rows], 1))
    lifted = [unproject(camera, surface.depth[0], _pixels(points, surface)) for points in (positive, prompt.negative)]
    return Anchors(*lifted, boxed)


def prompt_in_view(camera: Camera, surface: Surface, anchors: Anchors) -> ViewPrompt | None:
    """The prompt as another view shows it; None where none of its positive points is to be seen."""
    positive, negative = (visible_points(camera, surface, points) for points in (anchors.positive, anchors.negative))
    if not positive:
        return None
    box = None if anchors.boxed is None else _projected_box(camera, anchors.boxed)
    return ViewPrompt(positive, negative, box)


def visible_points(camera: Camera, surface: Surface, points: Tensor) -> tuple[Point, ...]:
    """Pixels of those world points [P, 3] that lie in the image and on its surface."""
    pixels, depth = project(camera, points)
    width, height = surface.size
    columns, rows = pixels.floor().long().unbind(1)
    inside = (depth > 0) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns, rows = columns.clamp(0, width - 1), rows.clamp(0, height - 1)
    shown = surface.depth[0, rows, columns]
    seen = inside & ((shown - depth).abs() <= SAME_SURFACE * depth.abs())
    return tuple((int(x), int(y)) for x, y in zip(columns[seen], rows[seen], strict=True))


def deepest_pixel(mask: Tensor) -> Point:
    """The pixel of a mask [H, W] that is farthest from its edge and the image's."""
    inside = distance_transform_edt(np.pad(mask.cpu().numpy(), 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(column), int(row)


def unproject(camera: Camera, depth: Tensor, pixels: Tensor) -> Tensor:
    """World points [P, 3] of pixels [P, 2] (column, row) at their depth (camera z) in the map [H, W]."""
    z = depth[pixels[:, 1], pixels[:, 0]]
    x = (pixels[:, 0] + 0.5 - camera.cx) / camera.fx * z
    y = (pixels[:, 1] + 0.5 - camera.cy) / camera.fy * z
    camera_to_world = torch.linalg.inv(camera.world_to_camera).to(depth)
    return torch.stack([x, y, z], 1) @ camera_to_world[:3, :3].T + camera_to_world[:3, 3]


def project(camera: Camera, points: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel coordinates [P, 2] (the first pixel's centre is at 0.5) and camera z [P] of world points [P, 3]."""
    pose = camera.world_to_camera.to(points)
    x, y, z = (points @ pose[:3, :3].T + pose[:3, 3]).unbind(1)
    safe = z.clamp_min(1e-6)
    return torch.stack([x / safe * camera.fx + camera.cx, y / safe * camera.fy + camera.cy], 1), z


def _projected_box(camera: Camera, points: Tensor) -> Box | None:
    pixels, depth = project(camera, points)
    pixels = pixels[depth > 0]
    if len(pixels) == 0:
        return None
    low, high = (torch.quantile(pixels, quantile, dim=0) for quantile in BOX_QUANTILES)
    x1, y1 = (int(value) for value in low.floor().clamp_min(0))
    x2, y2 = (int(value) for value in high.ceil())
    box = (x1, y1, min(x2, camera.width), min(y2, camera.height))
    return box if box[0] < box[2] and box[1] < box[3] else None


def _pixels(points: Sequence[Point], surface: Surface) -> Tensor:
    return torch.tensor(points, dtype=torch.long, device=surface.depth.device).reshape(-1, 2)
