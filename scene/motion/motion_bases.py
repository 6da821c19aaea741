"""`motion_bases`: a few rigid motions, of which every Gaussian follows its own blend.

x(t) = sum_j w_j (R_j(t) (x - c_j) + c_j + s_j(t)), and the orientation by the blended rotations: linear blend skinning
as with motion bases in Shape of Motion (Wang et al. 2024), with places c_j on the objects as in SC-GS (Huang et al.
2024), so that neighbours begin with the same motion. R_j and s_j come from a small network of c_j and t; the shares
w = softmax(code) are each Gaussian's own, so that what touches can part.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import ndraster
import torch
import torch.nn.functional as F
from ndraster.deform_mlp import frequency_code
from torch import Tensor, nn

from scene.motion import CODE_NAME, MOTIONS, MotionSetup
from scene.motion.learned import LearnedMotion
from utils.transforms import quaternion_multiply, quaternion_to_matrix

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel

WIDTH, DEPTH = 128, 4
PLACE_FREQUENCIES, TIME_FREQUENCIES = 4, 6
LOWEST_CODE = -8.0  # of a far basis: nearly no share, but not out of reach
REST = 2.0  # code of rest at first: most of what there is does not move
MIN_OPACITY = 0.1  # of Gaussians on which bases are put


class BasisNetwork(nn.Module):
    """From the places of J bases and a moment to their rotations and shifts; at first nothing moves."""

    def __init__(self, num_bases: int) -> None:
        super().__init__()
        self.register_buffer("places", torch.zeros(num_bases, 3))  # in the unit ball
        rest = [1.0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
        self.register_buffer("rest", torch.tensor([rest]), persistent=False)
        self.register_buffer("identity", torch.tensor([1.0, 0.0, 0.0, 0.0]), persistent=False)
        width = 3 * (1 + 2 * PLACE_FREQUENCIES) + 1 + 2 * TIME_FREQUENCIES
        widths = [width, *[WIDTH] * DEPTH]
        self.trunk = nn.Sequential(*(m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())))
        self.head = nn.Linear(WIDTH, 7)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Unit quaternions wxyz [J, 4] and shifts [J, 3] at a moment, a number."""
        code = frequency_code(time.reshape(1, 1), TIME_FREQUENCIES).expand(len(self.places), -1)
        columns = self.head(self.trunk(torch.cat([frequency_code(self.places, PLACE_FREQUENCIES), code], dim=1)))
        return F.normalize(self.identity + columns[:, :4], dim=-1), columns[:, 4:]


@MOTIONS.register("motion_bases")
class MotionBases(LearnedMotion):
    """Blended rigid motions; each Gaussian keeps one number per basis."""

    kind = "motion_bases"
    weights_name = "motion_bases.pth"
    network: BasisNetwork

    def __init__(self, setup: MotionSetup) -> None:
        super().__init__(BasisNetwork(setup.params.num_bases), setup)
        self.code_width = 1 + setup.params.num_bases

    @classmethod
    def create(cls, setup: MotionSetup) -> MotionBases:
        """See `Motion`."""
        return cls(setup)

    def at(self, model: GaussianModel, time: float | Tensor) -> ndraster.Gaussians:
        """See `Motion`."""
        canonical = model.activated()
        if not self.is_active:
            return canonical
        bases = self._bases(torch.as_tensor(time, dtype=canonical.means.dtype, device=canonical.means.device))
        blended = torch.softmax(model.params[CODE_NAME], dim=1) @ bases  # [N, 16]; the first basis rests
        turn, offset, quat = blended[:, :9].unflatten(1, (3, 3)), blended[:, 9:12], blended[:, 12:]
        points = self.place.into(canonical.means)
        moved = (turn * points[:, None, :]).sum(-1) + offset
        if self.offset_weight:
            self.note(moved - points.detach())
        turned = quaternion_multiply(F.normalize(quat, dim=-1), canonical.quats_wxyz)
        return replace(canonical, means=self.place.out_of(moved), quats_wxyz=turned)

    def _bases(self, moment: Tensor) -> Tensor:
        """Rotation matrices, offsets and quaternions [1 + J, 16] of rest and the bases, in units of the ball."""
        with torch.set_grad_enabled(self.is_trained and torch.is_grad_enabled()):
            quats, shifts = self.network(moment)
            turns, places = quaternion_to_matrix(quats), self.network.places
            offsets = places + shifts - (turns @ places[:, :, None])[:, :, 0]
            return torch.cat([self.network.rest, torch.cat([turns.flatten(1), offsets, quats], dim=1)])

    def on_iteration(self, iteration: int, model: GaussianModel) -> None:
        """See `Motion`; at the end of the warm-up the bases are put on what there is."""
        super().on_iteration(iteration, model)
        if iteration == self.params.warm_up:
            self.settle(model)

    @torch.no_grad()
    def settle(self, model: GaussianModel) -> None:
        """Spread the bases over the opaque Gaussians, and let everything follow the bases that are near."""
        points, places = self.place.into(model.means), self.network.places
        opaque = points[model.params["opacity"][:, 0].sigmoid() > MIN_OPACITY]
        places.copy_(farthest_points(opaque if len(opaque) else points, len(places)))
        apart = torch.cdist(places, places).fill_diagonal_(torch.inf)
        reach = apart.amin(1).mean().clamp_min(1e-6)
        nearness = -0.5 * (torch.cdist(points, places) / reach).square()
        code = (nearness - nearness.amax(1, keepdim=True)).clamp_min(LOWEST_CODE)
        model.params[CODE_NAME].copy_(F.pad(code, (1, 0), value=REST))


def farthest_points(points: Tensor, count: int) -> Tensor:
    """`count` of the points [N, 3], each as far as possible from those before; they repeat if there are too few."""
    chosen = points.new_zeros(count, dtype=torch.long)
    nearest = points.new_full((len(points),), float("inf"))
    for index in range(1, count):
        nearest = torch.minimum(nearest, (points - points[chosen[index - 1]]).square().sum(1))
        chosen[index] = nearest.argmax()
    return points[chosen]
