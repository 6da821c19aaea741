"""From masks of views to Gaussians: how much of each lies inside, and how a prompt in one view serves the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ndraster import FeatureLift, Gaussians, Lifted
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from gaussian_renderer import DEFAULT_SETTINGS, RenderSettings, render
from gaussian_renderer.anchors import Anchors, project, visible_points
from gaussian_renderer.frames import Frame
from gaussian_renderer.membership import selection_mask
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from scene.prompts import Box, Point, Surface
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
class PromptAnchors:
    """A prompt in space, on the Gaussians that were pointed at."""

    positive: Anchors
    negative: Anchors
    boxed: Anchors | None  # the surface that the box was found to hold

    @classmethod
    def of(
        cls, camera: Camera, surface: Surface, prompt: ViewPrompt, mask: Tensor, gaussians: Gaussians
    ) -> PromptAnchors:
        """From one view; without a positive point, the pixel deepest inside the mask [H, W] stands for one."""

        def tied(pixels: Tensor) -> Anchors:
            return Anchors.of_pixels(camera, surface, pixels, gaussians)

        positive = prompt.positive or (deepest_pixel(mask),)
        boxed = None if prompt.box is None else tied(torch.nonzero(mask).flip(1))
        return cls(tied(_pixels(positive, surface)), tied(_pixels(prompt.negative, surface)), boxed)

    def in_view(self, camera: Camera, surface: Surface, gaussians: Gaussians) -> ViewPrompt | None:
        """The prompt as another view shows it; None where none of its positive points is to be seen."""
        places = [anchors.at(gaussians) for anchors in (self.positive, self.negative)]
        positive, negative = (visible_points(camera, surface, points) for points in places)
        if not positive:
            return None
        box = None if self.boxed is None else _projected_box(camera, self.boxed.at(gaussians))
        return ViewPrompt(positive, negative, box)


Draw = Callable[[Camera], Surface]  # the view as the decoder wants it
Decode = Callable[[Camera, Surface, ViewPrompt], Tensor]  # -> mask [H, W] bool


@torch.no_grad()
def lift_masks(
    model: GaussianModel, views: Iterable[tuple[Camera, Tensor]], settings: RenderSettings = DEFAULT_SETTINGS
) -> Lifted:
    """Shares [N, K] of each Gaussian's blending weight over all views that lie inside masks [K, H, W] of the views."""
    running: FeatureLift | None = None
    raster = settings.raster_settings(model.drawn_sh_degree)
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

    Points are lifted to space by the depth of the surface under them, a box by the surface that its mask shows; both
    move with the Gaussians there. Views that do not see the points come second: there the middle of what was found so
    far is the prompt.
    """
    masks = dict(enumerate(prompted_masks(model, cameras, prompt, draw, decode)))
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
    model: GaussianModel, cameras: Sequence[Camera], prompt: ViewPrompt, draw: Draw, decode: Decode
) -> Iterator[Tensor | None]:
    """Masks [H, W] of the views; None where no point of the prompt, which is given in the first view, is to be seen."""
    first, *others = cameras
    surface = draw(first)
    mask = decode(first, surface, prompt)
    if not mask.any():
        raise UserError(f"the mask of {first.image_name} is empty; expected one at the prompt; add or move points")
    yield mask
    anchors = PromptAnchors.of(first, surface, prompt, mask, model.at(first.time))
    for camera in others:
        surface = draw(camera)
        local = anchors.in_view(camera, surface, model.at(camera.time))
        yield None if local is None else decode(camera, surface, local)


def middle_of(camera: Camera, model: GaussianModel, chosen: Tensor, settings: RenderSettings) -> Point | None:
    """The pixel deepest inside what a view shows of the `chosen` Gaussians [N]; None where that is next to nothing."""
    output = render(camera, model, settings=settings, features=chosen[:, None].float())
    mask = selection_mask(Frame(0, camera, output))
    return deepest_pixel(mask) if int(mask.sum()) >= MIN_SEEN_PX else None


def deepest_pixel(mask: Tensor) -> Point:
    """The pixel of a mask [H, W] that is farthest from its edge and the image's."""
    inside = distance_transform_edt(np.pad(mask.cpu().numpy(), 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(column), int(row)


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
