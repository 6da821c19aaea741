"""What is trained of one moment: where everything is by now, and what that is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import ndraster
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene.motion.births import Youth
from scene.motion.bonds import Bonds
from scene.motion.parts import Parts


@dataclass
class Pose:
    """All Gaussians at one moment, as they were left."""

    means: Tensor  # [N, 3] world units
    quats_wxyz: Tensor  # [N, 4] unit
    colors: Tensor  # [N, 3] RGB, not clamped

    def followed_by(self, others: Pose) -> Pose:
        """The same with more Gaussians behind."""
        columns = zip(vars(self).values(), vars(others).values(), strict=True)
        return Pose(*(torch.cat(both) for both in columns))

    def rows(self, chosen: slice) -> Pose:
        """Some of the Gaussians."""
        return Pose(self.means[chosen], self.quats_wxyz[chosen], self.colors[chosen])


class Present:
    """What is trained of a moment after the first, and what it is compared with; its tensors stay where they are."""

    def __init__(
        self,
        pose: Pose,  # the first
        foreground: Tensor,  # [F] rising indices into all N Gaussians
        moving: Tensor,  # [M] the same
        bonds: Bonds,  # of the foreground
        levels: list[Parts],
        youth: Youth | None = None,
    ) -> None:
        self.pose, self.foreground, self.moving, self.bonds = pose, foreground, moving, bonds
        self.levels, self.youth = levels, youth
        self.num_first = len(foreground)  # of the foreground, before all births
        self.group = torch.zeros(len(pose.means), dtype=torch.long, device=pose.means.device)
        self.group[foreground] = 1
        self.means = nn.Parameter(pose.means[moving].clone())
        self.quats = nn.Parameter(pose.quats_wxyz[moving].clone())
        self.resting = self._others(moving)
        self.colors = nn.Parameter(pose.colors[moving].clone())
        self.resting_colors = nn.Parameter(pose.colors[self.resting].clone())
        self.gains = nn.Parameter(torch.ones(2, 3, device=pose.means.device))  # of background and foreground
        self.earlier_quats = pose.quats_wxyz[foreground].clone()  # [F, 4] of the moment before
        self.earlier_offsets = bonds.offsets(pose.means[foreground])  # [F, k, 3]
        self.earlier_colors = pose.colors.clone()

    @torch.no_grad()
    def followed_by(self, pose: Pose, bonds: Bonds, levels: list[Parts], youth: Youth | None) -> Present:
        """The same moment with the foreground Gaussians that `pose` [N + B, ...] has more, where it has them."""
        added = torch.arange(len(self.pose.means), len(pose.means), device=pose.means.device)
        foreground, moving = torch.cat([self.foreground, added]), torch.cat([self.moving, added])
        longer = Present(pose, foreground, moving, bonds, levels, youth)
        longer.num_first = self.num_first or len(foreground)
        for name in ("means", "quats", "colors"):
            getattr(longer, name)[: len(self.moving)] = getattr(self, name)
        longer.resting_colors.copy_(self.resting_colors)
        longer.gains.copy_(self.gains)
        return longer

    @property
    def num_young(self) -> int:
        """How many of the last Gaussians are still finding their opacity and size."""
        return 0 if self.youth is None else len(self.youth)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        own = {"means": self.means, "quats": self.quats, "colors": self.colors, "gains": self.gains}
        own["resting_colors"] = self.resting_colors
        for number, level in enumerate(self.levels):
            own |= {f"turns{number}": level.turns, f"shifts{number}": level.shifts}
        return own if self.youth is None else own | self.youth.parameters

    def _others(self, moving: Tensor) -> Tensor:
        """Rising indices [N - M] of what does not move."""
        mask = torch.ones(len(self.pose.means), dtype=torch.bool, device=moving.device)
        return mask.index_fill_(0, moving, False).nonzero()[:, 0]

    def remember(self, earlier: Pose) -> None:
        """What the moment that is trained is compared with; in place, as a captured iteration reads it there."""
        self.earlier_quats.copy_(earlier.quats_wxyz[self.foreground])
        self.earlier_offsets.copy_(self.bonds.offsets(earlier.means[self.foreground]))
        self.earlier_colors.copy_(earlier.colors)

    @torch.no_grad()
    def recall_colors(self, pose: Pose, paints: bool) -> None:
        """Go on from the colours of an earlier moment: with those of each Gaussian, or with their gains."""
        if paints:
            self.colors.copy_(pose.colors[self.moving])
            self.resting_colors.copy_(pose.colors[self.resting])
            return
        for number, gain in enumerate(self.gains):
            now, first = (colors[self.group == number].sum(0) for colors in (pose.colors, self.pose.colors))
            gain.copy_(torch.where(first > 0, now / first.clamp_min(1e-12), gain))

    def all_colors(self) -> Tensor:
        """RGB [N, 3], differentiable: shadows fall on what does not move, too."""
        resting = self.pose.colors.index_copy(0, self.resting, self.resting_colors)
        return self.everywhere(self.colors, resting)

    def poses(self) -> tuple[Tensor, Tensor]:
        """Means [N, 3] and unit quaternions [N, 4], differentiable."""
        means, quats = self.means, F.normalize(self.quats, dim=-1)
        for level in self.levels:
            means, quats = level.moved(means, quats)
        return self.everywhere(means, self.pose.means), self.everywhere(quats, self.pose.quats_wxyz)

    def everywhere(self, values: Tensor, first: Tensor) -> Tensor:
        """[N, ...] values: those [M, ...] of what moves, and else the `first` ones [N, ...]."""
        return values if len(self.moving) == len(first) else first.index_copy(0, self.moving, values)

    def rigidity(self, means: Tensor, quats: Tensor) -> Tensor:
        """The losses rigid, rotation and isometry [3] of foreground means [F, 3] and unit quaternions [F, 4].

        A pair counts as much after births as before them.
        """
        losses = ndraster.rigidity_losses(means, quats, self.earlier_quats, self.earlier_offsets, self.bonds.hood)
        return losses if len(means) == self.num_first else losses * (len(means) / max(self.num_first, 1))

    def background_loss(self, means: Tensor, quats: Tensor) -> Tensor:
        """How far the background of all means [N, 3] and quaternions [N, 4] is from where it was at first."""
        mask = torch.ones(len(means), 1, device=means.device).index_fill_(0, self.foreground, 0.0)
        apart = (means - self.pose.means).abs() * mask
        turned = (quats - self.pose.quats_wxyz).abs() * mask
        return (apart.sum() + turned.sum()) / mask.sum().clamp_min(1)

    # ---- in checkpoints ----

    def state_dict(self) -> dict[str, Tensor]:
        """All that `restored` needs besides the first pose."""
        state = {name: value.detach() for name, value in self.parameters.items()}
        state |= {"foreground": self.foreground, "moving": self.moving, "num_first": torch.tensor(self.num_first)}
        state |= {f"bonds.{name}": value for name, value in self.bonds.state_dict().items()}
        for number, level in enumerate(self.levels):
            state |= {f"members{number}": level.member, f"centers{number}": level.centers}
        return state

    @classmethod
    @torch.no_grad()
    def restored(cls, pose: Pose, state: dict[str, Tensor]) -> Present:
        """The moment that was being trained, as it was left."""
        numbers = range(sum(name.startswith("members") for name in state))
        levels = [Parts(state[f"members{number}"]) for number in numbers]
        bonds = Bonds.restored({name: state[f"bonds.{name}"] for name in Bonds.STORED})
        present = cls(pose, state["foreground"], state["moving"], bonds, levels, Youth.restored(state))
        present.num_first = int(state["num_first"])
        for name, parameter in present.parameters.items():
            parameter.copy_(state[name])
        for number, level in enumerate(levels):
            level.centers.copy_(state[f"centers{number}"])
        return present


def recolored(gaussians: ndraster.Gaussians, colors: Tensor) -> ndraster.Gaussians:
    """The same Gaussians with colours [N, 3] that do not depend on the view."""
    return replace(gaussians, sh=None, sh_rest=None, colors=colors)
