"""The network of Deformable 3DGS (Yang et al. 2024) and DGD: from a canonical point and a moment to offsets.

State dictionaries have the published names, so that a `deform.pth` goes both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from ndraster import DeformWeights, deform_mlp
from ndraster.deform_mlp import frequency_code
from torch import Tensor, nn

from utils.errors import UserError

WIDTH, DEPTH, SKIP = 256, 8, 4  # the input joins again after the ReLU of layer `SKIP`
POINT_FREQUENCIES = 10
POINT_WIDTH = 3 + 6 * POINT_FREQUENCIES
TIME_FREQUENCIES = {False: 10, True: 6}  # by is_blender
TIMENET_WIDTH = 30


@dataclass(frozen=True)
class Offsets:
    """What the network says about each Gaussian."""

    shift: Tensor  # [N, 3], or the screw axis and its shift [N, 6] (6-DoF)
    rotation: Tensor  # [N, 4] added to unit quaternions
    scaling: Tensor  # [N, 3] added to standard deviations

    def without_overflow(self) -> Offsets:
        """The same with zeros for what is no number: one lost Gaussian must not spoil the weights for all."""
        return Offsets(*(torch.nan_to_num(part, 0.0, 0.0, 0.0) for part in (self.shift, self.rotation, self.scaling)))


class DeformationNetwork(nn.Module):
    """Eight layers 256 wide with one skip connection, and three linear heads.

    `is_blender`: 6 instead of 10 frequencies of the time, and a small network of their own (synthetic scenes).
    """

    def __init__(self, is_blender: bool = False, is_6dof: bool = False) -> None:
        super().__init__()
        self.is_blender, self.is_6dof = is_blender, is_6dof
        code = 1 + 2 * TIME_FREQUENCIES[is_blender]
        if is_blender:
            self.timenet = nn.Sequential(nn.Linear(code, WIDTH), nn.ReLU(), nn.Linear(WIDTH, TIMENET_WIDTH))
        width = POINT_WIDTH + (TIMENET_WIDTH if is_blender else code)
        inputs = [width] + [WIDTH + (width if layer == SKIP + 1 else 0) for layer in range(1, DEPTH)]
        self.linear = nn.ModuleList(nn.Linear(wide, WIDTH) for wide in inputs)
        if is_6dof:
            self.branch_w, self.branch_v = nn.Linear(WIDTH, 3), nn.Linear(WIDTH, 3)
        else:
            self.gaussian_warp = nn.Linear(WIDTH, 3)
        self.gaussian_rotation, self.gaussian_scaling = nn.Linear(WIDTH, 4), nn.Linear(WIDTH, 3)

    @property
    def heads(self) -> list[nn.Linear]:
        """The last layers, in the order of the columns of `forward`."""
        moves = [self.branch_w, self.branch_v] if self.is_6dof else [self.gaussian_warp]
        return [*moves, self.gaussian_rotation, self.gaussian_scaling]

    def rest_at_first(self) -> DeformationNetwork:
        """Start without any motion; returns self."""
        for head in self.heads:
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        return self

    def forward(self, points: Tensor, time: Tensor) -> Offsets:
        """Offsets of points [N, 3], through which no gradient flows, at one moment, a number in 0..1."""
        weights = self.weights_at(time)
        return self._split(deform_mlp(points.detach(), weights))

    def plainly(self, points: Tensor, time: Tensor) -> Offsets:
        """The same as it is written in the paper: a row of input per point, layer after layer."""
        code = self.time_code(time).expand(len(points), -1)
        given = torch.cat([frequency_code(points.detach(), POINT_FREQUENCIES), code], dim=1)
        hidden = given
        for index, layer in enumerate(self.linear):
            hidden = torch.relu(layer(torch.cat([given, hidden], dim=1) if index == SKIP + 1 else hidden))
        return self._split(torch.cat([head(hidden) for head in self.heads], dim=1))

    def time_code(self, time: Tensor) -> Tensor:
        """[1, 30] or [1, 21]: what the layers see of a moment."""
        code = frequency_code(time.reshape(1, 1), TIME_FREQUENCIES[self.is_blender])
        return self.timenet(code) if self.is_blender else code

    def weights_at(self, time: Tensor) -> DeformWeights:
        """The layers at one moment: the time is the same for all points, so that it is but another bias."""
        code = self.time_code(time)
        width = POINT_WIDTH + code.shape[1]
        first, skip = self.linear[0].weight, self.linear[SKIP + 1].weight
        biases = [layer.bias for layer in self.linear]
        for index, weight in ((0, first), (SKIP + 1, skip)):
            biases[index] = biases[index] + (code @ weight[:, POINT_WIDTH:width].T)[0]
        hidden = [layer.weight for layer in self.linear[1:]]
        hidden[SKIP] = skip[:, width:]
        return DeformWeights(
            first=first[:, :POINT_WIDTH],
            hidden=tuple(hidden),
            skip=skip[:, :POINT_WIDTH],
            biases=tuple(biases),
            head=torch.cat([head.weight for head in self.heads]),
            head_bias=torch.cat([head.bias for head in self.heads]),
        )

    def _split(self, columns: Tensor) -> Offsets:
        return Offsets(columns[:, :-7], columns[:, -7:-3], columns[:, -3:])


def network_of(state: Mapping[str, Tensor], source: str) -> DeformationNetwork:
    """The network that a state dictionary with the published names describes; its kind shows in the names."""
    network = DeformationNetwork("timenet.0.weight" in state, "branch_w.weight" in state)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if expected != found:
        wrong = sorted({*expected.items()} ^ {*found.items()})[0]
        raise UserError(
            f"{source}: {wrong[0]} {list(wrong[1])} is too much, missing or of another shape; expected the deformation "
            f"network of Deformable 3DGS with {len(expected)} tensors; use another file"
        )
    network.load_state_dict(state)
    return network
