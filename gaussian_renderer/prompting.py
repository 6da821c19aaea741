"""From what is pointed at in a rendered view to queries and votes for the Gaussians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gaussian_renderer import RenderSettings, render
from gaussian_renderer.blend_weights import blend_weights
from gaussian_renderer.feature_basis import evenly_spread
from gaussian_renderer.mask_lifting import ViewPrompt, lift_masks
from gaussian_renderer.time_paths import distinct_times
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from scene.prompts import Box, Prompt, Surface, box_prompt, box_regions, check_point, click_prompt, joined_prompt
from scene.selection import Cloud
from utils.errors import UserError

WEIGHT_VIEWS = 24  # views over which the visibility of the Gaussians is measured
PATH_MOMENTS = 5  # at which the paths of moving Gaussians are compared
MIN_VOTE_PX = 0.1  # blending weight in the prompted view from which a Gaussian can be outside a box


@torch.no_grad()
def surface_of(camera: Camera, model: GaussianModel, features: Tensor, settings: RenderSettings) -> Surface:
    """What a view shows of the model with `features` [N, D]."""
    output = render(camera, model, settings=settings, features=features)
    return Surface(output.features, output.alpha, output.median_depth, output.median_ids)


def seen_cloud(cameras: Sequence[Camera], model: GaussianModel, settings: RenderSettings) -> Cloud:
    """Where the Gaussians are, and how much evenly spread views see of them.

    Neighbours in a moving scene are near each other all the time. At a single moment things touch that part later, and
    in canonical space, which no picture shows, anything may coincide.
    """
    weight = blend_weights(evenly_spread(cameras, WEIGHT_VIEWS), model, settings)
    return Cloud.of(places(model, distinct_times(cameras)), weight)


@torch.no_grad()
def places(model: GaussianModel, times: Sequence[float]) -> Tensor:
    """Positions [N, 3] of Gaussians that stand still; of moving ones those at some of the `times`, [N, 3 T]."""
    if model.motion.is_static:
        return model.means.detach()
    return torch.cat([model.at(time).means for time in evenly_spread(times, PATH_MOMENTS)], dim=1)


def pointed_prompt(
    camera: Camera,
    model: GaussianModel,
    features: Tensor,  # [N, D] that are compared
    asked: ViewPrompt,
    boxes: Sequence[Box],
    settings: RenderSettings,
) -> Prompt:
    """Queries for points and boxes of one view; points choose what is meant among what the boxes hold.

    Queries come from the rendered map rather than from the teacher's: it is sharper, exists for every view, and blends
    exactly the features that it is compared with. Gaussians that this view sees mostly outside the boxes are excluded.
    """
    surface = surface_of(camera, model, features, settings)
    check_prompt(asked, boxes, surface.size)
    clicks = click_prompt(surface, asked.positive, asked.negative)
    if not boxes:
        return clicks
    prompt = box_prompt(surface, boxes, clicks if asked.positive else None)
    inside, _ = box_regions(boxes, surface.size)
    votes = lift_masks(model, [(camera, inside[None])], settings)
    return replace(prompt, excluded=(votes.weights > MIN_VOTE_PX) & (votes.features[:, 0] < 0.5))


def clicked_prompt(
    clicks: Sequence[tuple[Camera, ViewPrompt]],  # points in any views
    model: GaussianModel,
    features: Tensor,  # [N, D] that are compared
    settings: RenderSettings,
) -> Prompt:
    """Queries for points in several views, of which at least one point is positive."""
    if not any(asked.positive for _, asked in clicks):
        raise UserError("there is no positive point; expected at least one on the object; click on it")
    return joined_prompt([pointed_prompt(camera, model, features, asked, (), settings) for camera, asked in clicks])


def check_prompt(asked: ViewPrompt, boxes: Sequence[Box], size: tuple[int, int]) -> None:
    """Refuse points and boxes that leave the image of (width, height) `size`, and points outside all boxes."""
    for point in (*asked.positive, *asked.negative):
        check_point(point, size)
    inside, _ = box_regions(boxes, size)
    for x, y in asked.positive:
        if boxes and not inside[y, x]:
            raise UserError(f"point {x} {y} is outside the box; expected a point in it; move one or leave the box out")
