"""Parts that move as one: a coarse guess of a moment's motion, found together with what each Gaussian adds to it.

A fast turn needs many neighbours to go the same way at once, for which local rigidity is slow: it passes news from
Gaussian to Gaussian. The motion of a part has the gradients of all its members behind it. (Coarse to fine as in SCas4D,
Wang et al. 2025, but all levels are trained at the same time.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from scene.motion.bonds import Bonds
from scene.motion.motion_bases import farthest_points
from utils.transforms import quaternion_multiply, quaternion_to_matrix

MEMBERS = 400  # of a usual small part
MAX_PARTS = 128
NUM_LEVELS = 2
RUN = 128  # members whose gradients are added by one thread after the other


@dataclass(frozen=True, eq=False)
class _Members:
    """The members of P parts in K runs of equal length, so that sums over them need no long chain of additions."""

    runs: Tensor  # [K, RUN] indices into the M Gaussians, M where a run has ended
    part: Tensor  # [K] that the run belongs to

    @classmethod
    def of(cls, member: Tensor, size: Tensor) -> _Members:
        """Of parts with `size` [P] members each, named by `member` [M]."""
        num_runs = (size + RUN - 1) // RUN
        order = member.argsort(stable=True)
        rank = torch.arange(len(member), device=member.device) - (size.cumsum(0) - size)[member[order]]
        row = (num_runs.cumsum(0) - num_runs)[member[order]] + rank // RUN
        runs = torch.full((int(num_runs.sum()), RUN), len(member), device=member.device)
        runs[row, rank % RUN] = order
        return cls(runs, torch.repeat_interleave(torch.arange(len(size), device=member.device), num_runs))


class _Shared(torch.autograd.Function):
    """Rows [M, C] of a table [P, C], that of its part for every Gaussian; the gradient is a sum over the members.

    A usual gather adds one member after the other: whole things have tens of thousands.
    """

    @staticmethod
    def forward(ctx, table: Tensor, member: Tensor, members: _Members) -> Tensor:
        ctx.members, ctx.count = members, len(table)
        return table.index_select(0, member)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        runs, part = ctx.members.runs, ctx.members.part
        padded = F.pad(gradient, (0, 0, 0, 1))
        sums = padded[runs.flatten()].unflatten(0, runs.shape).sum(1)
        return gradient.new_zeros(ctx.count, gradient.shape[1]).index_add_(0, part, sums), None, None


class Parts:
    """One level: every one of M Gaussians belongs to one of P parts, which turn about their centres and shift."""

    def __init__(self, member: Tensor) -> None:
        """`member` [M] is the number of each Gaussian's part, 0 to P - 1, all of which occur."""
        self.member, count = member, int(member.max()) + 1 if len(member) else 0
        self.size = torch.bincount(member, minlength=count)[:, None]
        self.turns = nn.Parameter(torch.zeros(count, 3, device=member.device))  # axis times angle in rad, about
        self.shifts = nn.Parameter(torch.zeros(count, 3, device=member.device))  # world units
        self.centers = torch.zeros(count, 3, device=member.device)  # world
        self._members = _Members.of(member, self.size[:, 0])

    @torch.no_grad()
    def followed_by(self, means: Tensor) -> Parts:
        """The same with one more part, of Gaussians that are at `means` [B, 3]; those of before keep their motion."""
        count = len(self.turns)
        longer = Parts(torch.cat([self.member, self.member.new_full((len(means),), count)]))
        for name in ("turns", "shifts", "centers"):
            getattr(longer, name)[:count] = getattr(self, name)
        longer.centers[count] = means.mean(0)
        return longer

    @torch.no_grad()
    def restart(self, means: Tensor) -> None:
        """No motion of parts; their centres are those of the means [M, 3]."""
        self.turns.zero_()
        self.shifts.zero_()
        self.centers.zero_().index_add_(0, self.member, means).div_(self.size)

    def moved(self, means: Tensor, quats_wxyz: Tensor) -> tuple[Tensor, Tensor]:
        """Means [M, 3] and quaternions [M, 4] carried along."""
        quats = F.normalize(F.pad(0.5 * self.turns, (1, 0), value=1.0), dim=1)
        turn = torch.cat([quaternion_to_matrix(quats).flatten(1), self.centers, self.shifts, quats], dim=1)
        own = _Shared.apply(turn, self.member, self._members)
        matrices, centers, shifts, quats = own[:, :9].unflatten(1, (3, 3)), own[:, 9:12], own[:, 12:15], own[:, 15:]
        turned = (matrices * (means - centers)[:, None, :]).sum(-1)
        return turned + centers + shifts, quaternion_multiply(quats, quats_wxyz)


def levels_of(means: Tensor, bonds: Bonds) -> list[Parts]:
    """Small parts, Gaussians near each other, and whole things, which bonds hold together, of means [M, 3]."""
    if not len(means):
        return [Parts(torch.zeros(0, dtype=torch.long, device=means.device)) for _ in range(NUM_LEVELS)]
    seeds = farthest_points(means, max(1, min(MAX_PARTS, len(means) // MEMBERS)))
    nearest = torch.unique(torch.cdist(means, seeds).argmin(1), return_inverse=True)[1]
    return [Parts(nearest), Parts(connected(bonds).to(means.device))]


def connected(bonds: Bonds) -> Tensor:
    """Number [F] of the thing that each Gaussian belongs to: chains of bonds hold things together."""
    indices = bonds.hood.indices.cpu().numpy()
    count, k = indices.shape
    rows = np.repeat(np.arange(count), k)
    links = coo_matrix((np.ones(count * k, np.int8), (rows, indices.ravel())), shape=(count, count))
    return torch.from_numpy(connected_components(links, directed=False)[1]).long()
