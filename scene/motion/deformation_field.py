"""`deform_mlp`: a network gives every Gaussian an offset at every time (Deformable 3DGS, Yang et al. 2024; DGD)."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import ndraster
import torch
import torch.nn.functional as F
from torch import Tensor

from scene.motion import MOTIONS, MotionSetup
from scene.motion.deformation_network import DeformationNetwork, Offsets
from scene.motion.learned import LearnedMotion
from scene.motion.screw import screw_motion

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel

FIRST_NOISE = 0.1  # of annealing smooth training, in units of the time between two pictures


@MOTIONS.register("deform_mlp")
class DeformationField(LearnedMotion):
    """Offsets to positions, rotations and scales; colours and opacities stay.

    | | Deformable 3DGS (`--compat_*`) | here |
    |---|---|---|
    | start | torch's random last layers | zeros: nothing moves |
    | rotation | q / length(q) + dq, whose length also scales | of length 1 again |
    | place | as it is | points and shifts in units of the scene's radius |
    | noise on the time | by the pictures left in the round | by the time between two pictures |
    """

    kind = "deform_mlp"
    weights_name = "deform.pth"
    usual_lambda = 0.03  # without it, some scenes were lost (docs/motion.md)
    network: DeformationNetwork

    def __init__(self, network: DeformationNetwork, setup: MotionSetup) -> None:
        super().__init__(network, setup)
        self._latest: tuple[tuple, Offsets] | None = None

    @classmethod
    def create(cls, setup: MotionSetup) -> DeformationField:
        """See `Motion`."""
        network = DeformationNetwork(setup.params.is_blender, setup.params.is_6dof)
        return cls(network if setup.params.compat_init else network.rest_at_first(), setup)

    def at(self, model: GaussianModel, time: float | Tensor) -> ndraster.Gaussians:
        """See `Motion`."""
        canonical = model.activated()
        return self._moved(canonical, self.offsets(model, time)) if self.is_active else canonical

    def offsets(self, model: GaussianModel, time: float | Tensor) -> Offsets:
        """What the network says about a model's Gaussians; evaluated once as long as neither they nor time change."""
        learns = self.is_trained and torch.is_grad_enabled()
        if isinstance(time, Tensor):  # whose value is not known here
            return self._evaluate(model, time, learns)
        key = (model.means, model.means._version, time, learns)
        if self._latest is None or not _same(self._latest[0], key):
            self._latest = (key, self._evaluate(model, time, learns))
        return self._latest[1]

    def _evaluate(self, model: GaussianModel, time: float | Tensor, learns: bool) -> Offsets:
        means = model.means.detach()
        moment = torch.as_tensor(time, dtype=means.dtype, device=means.device)
        run = self.network.plainly if self.params.compat_speed else self.network
        with torch.set_grad_enabled(learns):
            offsets = run(self.place.into(means), moment).without_overflow()
        self.note(offsets.shift)
        return offsets

    def _moved(self, canonical: ndraster.Gaussians, offsets: Offsets) -> ndraster.Gaussians:
        quats = canonical.quats_wxyz + offsets.rotation
        return replace(
            canonical,
            means=self._moved_means(canonical.means, offsets.shift),
            quats_wxyz=quats if self.params.compat_quat else F.normalize(quats, dim=-1),
            scales=canonical.scales + offsets.scaling * self.place.radius,
        )

    def _moved_means(self, means: Tensor, shift: Tensor) -> Tensor:
        if not self.network.is_6dof:
            return means + shift * self.place.radius
        return self.place.out_of(screw_motion(self.place.into(means), shift[:, :3], shift[:, 3:]))

    def on_iteration(self, iteration: int, model: GaussianModel) -> None:
        """See `Motion`."""
        super().on_iteration(iteration, model)
        self._latest = None

    def training_time(self, time: float, views_left: int) -> float:
        """Annealing smooth training: noise on the time of real data, which fades (Yang et al. 2024, eq. 6)."""
        p = self.params
        sigma = FIRST_NOISE * max(0.0, 1 - self.iteration / max(p.time_noise_steps, 1))
        if self.network.is_blender or not self.is_active or sigma == 0:
            return time
        between = 1 / max(views_left if p.compat_ast else self.setup.num_times, 1)
        return time + random.gauss(0, 1) * between * sigma


def _same(one: tuple, other: tuple) -> bool:
    """Whether two keys name the same evaluation; tensors are compared as objects."""
    return one[0] is other[0] and one[1:] == other[1:]
