"""Scenes without masks: what can't move, because some cameras that stand still never see a change where it is.

What moves changes the picture of every camera that sees it. Where two cameras see a Gaussian of the first moment, and
their pictures there are the same at all moments, it rests; the others may move. So the union over time of all changes
in one picture is carved by the other pictures, as a visual hull is by silhouettes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from ndraster import FeatureLift
from torch import Tensor

from gaussian_renderer import RenderSettings
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from scene.image_store import ImageStore
from utils.progress import say

if TYPE_CHECKING:
    from training.trainer import Trainer

MIN_CHANGE = 0.06  # of a smoothed picture, mean over the channels, that is more than noise
MARGIN_PX = 3  # around changes, which count as changed too
MAX_CHANGED = 0.3  # share of what a camera sees of a resting Gaussian that may have changed
MIN_SEEN_PX = 0.05  # blending weight of a Gaussian in a picture that counts as seeing it
MIN_CALM = 2  # cameras that must see no change, or all that see it if there are fewer


@torch.no_grad()
def let_rest(trainer: Trainer) -> None:
    """Tell the motion of a scene without masks which Gaussians rest; in scenes whose cameras move nothing is known."""
    model, scene = trainer.model, trainer.scene
    sights = standing_cameras(scene.train)
    if not sights:
        return
    resting = find_resting(model, sights, scene.images, trainer.settings)
    model.motion.let_rest(model, resting)
    say(f"no masks: {int(resting.sum())} of {len(model)} Gaussians rest, as {len(sights)} cameras see no change there")


def standing_cameras(views: Sequence[Camera]) -> list[list[Camera]]:
    """The views of each camera that stands still, those of the first moment first; others are left out."""
    found: dict[tuple, list[Camera]] = {}
    for view in sorted(views, key=lambda view: view.time):
        found.setdefault((view.width, view.height, *view.pinhole.numbers.tolist()), []).append(view)
    first = min(view.time for view in views)
    return [group for group in found.values() if len(group) > 1 and group[0].time == first]


def find_resting(
    model: GaussianModel, sights: Sequence[Sequence[Camera]], images: ImageStore, settings: RenderSettings
) -> Tensor:
    """Mask [N] of the Gaussians where cameras see no change; Gaussians that nobody sees rest."""
    num_seeing, num_calm = (torch.zeros(len(model), device=model.device) for _ in range(2))
    gaussians, raster = model.at(sights[0][0].time), settings.raster_settings(model.active_sh_degree)
    for views in sights:
        lift = FeatureLift(gaussians, 1, raster, backend=settings.backend)
        lift.add(views[0].pinhole, changed_pixels([images.get(view).image for view in views])[None].to(model.means))
        lifted = lift.finish()
        seeing = lifted.weights > MIN_SEEN_PX
        num_seeing += seeing
        num_calm += seeing & (lifted.features[:, 0] < MAX_CHANGED)
    return num_calm >= num_seeing.clamp_max(MIN_CALM)


def changed_pixels(pictures: Sequence[Tensor]) -> Tensor:
    """Where any of a camera's pictures [3, H, W] differs from the first one, mask [H, W], with a margin."""
    first = _smooth(pictures[0])
    most = torch.zeros_like(first[0])
    for picture in pictures[1:]:
        most = torch.maximum(most, (_smooth(picture) - first).abs().mean(0))
    side = 2 * MARGIN_PX + 1
    return F.max_pool2d((most > MIN_CHANGE).float()[None], side, stride=1, padding=MARGIN_PX)[0] > 0.5


def _smooth(picture: Tensor) -> Tensor:
    """Means of 3x3 pixels: compression noise goes."""
    return F.avg_pool2d(F.pad(picture[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0]
