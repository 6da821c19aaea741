"""A scene on its way through its moments: where everything was, what is trained now, and who joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import ndraster
import torch
import torch.nn.functional as F
from torch import Tensor

from arguments import TrackingParams
from scene.motion import CODE_NAME
from scene.motion.births import Youth
from scene.motion.bonds import Bonds
from scene.motion.parts import levels_of
from scene.motion.present import Pose, Present, recolored
from scene.motion.propagation import propagate
from scene.motion.trajectories import Trajectories
from utils.spherical_harmonics import rgb_to_sh, sh_to_rgb

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel

FOREGROUND, BIRTH = 0, 1  # columns of the motion code


class Following:
    """The poses so far, and the moment that is trained; steps are numbers of moments, the first one is 0."""

    def __init__(self, tracking: TrackingParams) -> None:
        self.tracking = tracking
        self.history: list[Pose] = []
        self.present: Present | None = None  # of moments after the first
        self.num_presents = 0  # so far: each has tensors of its own
        self.revision = 0  # of the Gaussians as they are stored
        self._drawn: tuple[Tensor, Tensor, Tensor] | None = None  # means, quaternions and colours drawn last

    @property
    def paints(self) -> bool:
        """Whether each Gaussian's colour goes on being found."""
        return self.tracking.color_mode in ("soft", "free")

    # ---- one moment ----

    @torch.no_grad()
    def begin(self, model: GaussianModel, step: int) -> None:
        """Guess where everything is by now, and remember where it was."""
        if self.present is None:
            self._replace_present(self._first_present(model))
            self._relive(model)
        self._grow_up(model, step)
        now, before = self.history[-1], self.history[max(len(self.history) - 2, 0)]
        poses = [(pose.means[self.present.moving], pose.quats_wxyz[self.present.moving]) for pose in (before, now)]
        means, quats = propagate(*poses, self.tracking.propagation, self.tracking.damping)
        self.present.means.copy_(means)
        self.present.quats.copy_(quats)
        for level in self.present.levels:
            level.restart(means)
        self.present.remember(now)

    def now(self, still: ndraster.Gaussians) -> ndraster.Gaussians:
        """The moment that is trained, differentiable, of Gaussians as they are stored."""
        present = self.present
        if present is None:
            return still
        (means, quats), colors = present.poses(), self._colors(present)
        self._drawn = means, quats, colors
        if present.youth is not None:
            still = present.youth.shown(still)
        return recolored(replace(still, means=means, quats_wxyz=quats), colors)

    def _colors(self, present: Present) -> Tensor:
        """RGB [N, 3] of the moment that is trained."""
        if self.paints:
            return present.all_colors()
        if self.tracking.color_mode == "frozen":
            return present.pose.colors
        return present.pose.colors * present.gains[present.group]

    def losses(self, has_floor: bool) -> dict[str, Tensor]:
        """Regularisers of what was drawn last, weighted already."""
        if self.present is None or self._drawn is None:
            return {}
        (means, quats, colors), present, t = self._drawn, self.present, self.tracking
        self._drawn = None  # a graph of gradients that lives on would disturb the capture of an iteration
        own = present.foreground
        whole = len(own) == len(means)
        mine = (means, quats) if whole else (means[own], quats[own])
        rigid, rotation, isometry = present.rigidity(*mine).unbind()
        losses = {"rigid": t.lambda_rigid * rigid, "rotation": t.lambda_rotation * rotation}
        losses["isometry"] = t.lambda_isometry * isometry
        if t.color_mode == "soft":
            losses["color"] = t.lambda_color * (colors - present.earlier_colors).abs().sum(-1).mean()
        if t.lambda_floor and has_floor:
            losses["floor"] = t.lambda_floor * mine[0][:, 1].clamp_min(0).mean()
        if not t.fixed_background and not whole:
            losses["background"] = t.lambda_background * present.background_loss(means, quats)
        return losses

    @torch.no_grad()
    def end(self, model: GaussianModel, step: int) -> None:
        """The end of a moment is remembered, and what has come apart is let go."""
        present, t = self.present, self.tracking
        if present is None:
            self.history.append(stored_pose(model))
            return
        moved = self.now(model.activated())
        self.history.append(Pose(moved.means.clone(), moved.quats_wxyz.clone(), moved.colors.clone()))
        if present.youth is not None:
            self._settle_in(model, step)
        if t.cut_strain:
            present.bonds.cut(moved.means[present.foreground], t.cut_strain, t.cut_after)

    def trajectories(self, times: Sequence[float], model: GaussianModel) -> Trajectories:
        """The poses so far, at the first of these moments; before training that of the Gaussians as they are."""
        poses = self.history or [stored_pose(model)]
        columns = ([pose.means for pose in poses], [pose.quats_wxyz for pose in poses], [pose.colors for pose in poses])
        reached = torch.tensor(times[: len(poses)], dtype=torch.float64)
        return Trajectories(reached, *(torch.stack(values) for values in columns))

    def speed(self) -> float:
        """How far what may move has moved since the moment before, on average, world units."""
        if self.present is None:
            return 0.0
        now, before = (self.history[index].means[self.present.foreground] for index in (-1, -2))
        return float((now - before).norm(dim=-1).mean())

    def _replace_present(self, present: Present) -> None:
        self.present = present
        self.num_presents += 1

    def _first_present(self, model: GaussianModel) -> Present:
        """Of those who were there at the first moment."""
        t, code = self.tracking, model.params[CODE_NAME]
        pose = self.history[0].rows(slice(0, int((code[:, BIRTH] == 0).sum())))
        everything = torch.arange(len(pose.means), device=model.device)
        foreground = everything[code[: len(everything), FOREGROUND] > 0.5]
        moving = foreground if t.fixed_background else everything
        bonds = self._bonds(pose.means[foreground])
        has_parts = t.parts and t.fixed_background
        return Present(pose, foreground, moving, bonds, levels_of(pose.means[foreground], bonds) if has_parts else [])

    def _relive(self, model: GaussianModel) -> None:
        """Who joined and what came apart in moments that are finished but were not trained here: from their poses."""
        births, t = model.params[CODE_NAME][:, BIRTH], self.tracking
        for step in range(1, len(self.history)):
            if t.cut_strain:
                self.present.bonds.cut(self.history[step].means[self.present.foreground], t.cut_strain, t.cut_after)
            if count := int((births == step).sum()):
                self._join(count, step)
        if len(self.history) > 1:
            self.present.recall_colors(self.history[-1], self.paints)

    def _join(self, count: int, step: int) -> None:
        """Take the next Gaussians in, which were born at a step and of which everything is known."""
        present, known = self.present, len(self.present.pose.means)
        if self.tracking.color_mode == "gain":
            present.recall_colors(self.history[step].rows(slice(0, known)), self.paints)
            self.history[0].colors[known : known + count] /= present.gains[1]
        means = self.history[0].means[known : known + count]
        bonds = present.bonds.with_block(len(present.foreground), self._bonds(means))
        levels = [level.followed_by(means) for level in present.levels]
        pose = self.history[0].rows(slice(0, known + count))
        self._replace_present(present.followed_by(pose, bonds, levels, None))

    def _bonds(self, means: Tensor) -> Bonds:
        """Bonds of points [B, 3] among themselves, as many for each as those have that there are."""
        known = None if self.present is None else self.present.bonds.hood.indices
        k = known.shape[1] if known is not None and len(known) else self.tracking.num_neighbours
        return Bonds.between(means, k, self.tracking.neighbour_falloff)

    # ---- newcomers ----

    @torch.no_grad()
    def welcome(self, model: GaussianModel, step: int) -> None:
        """Take the last rows of the model in, which are new.

        Until it is known better, they have been where they are now at all moments before.
        """
        present, known = self.present, len(self.history[-1].means)
        model.params[CODE_NAME][known:] = model.means.new_tensor([1.0, step])  # foreground, and born now
        born = stored_pose(model).rows(slice(known, None))
        if self.tracking.color_mode == "gain":
            born.colors /= present.gains[1]
        self.history = [pose.followed_by(born) for pose in self.history]
        if present.youth is not None:
            present.youth.store(model.params)
        youth = Youth.of(model.params, len(model) - known + present.num_young)
        bonds = present.bonds.with_block(len(present.foreground), self._bonds(born.means).loose())
        levels = [level.followed_by(born.means) for level in present.levels]
        self._replace_present(present.followed_by(self.history[0], bonds, levels, youth))
        self.present.remember(self.history[-1])
        self.revision += 1

    def _settle_in(self, model: GaussianModel, step: int) -> None:
        """What has been found of the young by the end of a moment, and the first poses of those born in it."""
        self.present.youth.store(model.params)
        self.revision += 1
        count = int((model.params[CODE_NAME][:, BIRTH] == step).sum())
        if not count:
            return
        rows = slice(len(model) - count, None)
        born = self.history[-1].rows(rows)
        for pose in self.history[:-1]:
            pose.means[rows], pose.quats_wxyz[rows] = born.means, born.quats_wxyz
            if self.paints:
                pose.colors[rows] = born.colors
        model.params["xyz"][rows], model.params["rotation"][rows] = born.means, born.quats_wxyz
        model.params["f_dc"][rows, 0] = rgb_to_sh(born.colors)

    def _grow_up(self, model: GaussianModel, step: int) -> None:
        """Who was born in the moment before is bonded as by now; who has been there for longer is like all others."""
        births = model.params[CODE_NAME][:, BIRTH]
        num_newest = int(((births > 0) & (births == step - 1)).sum())
        num_young = int(((births > 0) & (births > step - self.tracking.birth_moments)).sum())
        present, bonds = self.present, self.present.bonds
        if num_newest:  # the last of all
            newest = self._bonds(self.history[-1].means[len(model) - num_newest :])
            bonds = bonds.with_block(len(present.foreground) - num_newest, newest)
        if num_newest or num_young != present.num_young:
            youth = Youth.of(model.params, num_young)
            self._replace_present(present.followed_by(present.pose, bonds, present.levels, youth))

    # ---- in checkpoints ----

    def state_dict(self) -> dict[str, Tensor]:
        """All values that training changes."""
        state = {}
        if self.history:
            for name in ("means", "quats_wxyz", "colors"):
                state[f"history.{name}"] = torch.stack([getattr(pose, name) for pose in self.history])
        if self.present is not None:
            state |= {f"present.{name}": value for name, value in self.present.state_dict().items()}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what `state_dict` gave."""
        columns = [state[f"history.{name}"] for name in ("means", "quats_wxyz", "colors")] if state else []
        self.history = [Pose(*values) for values in zip(*columns, strict=True)]
        own = {name.removeprefix("present."): v for name, v in state.items() if name.startswith("present.")}
        if own:
            self._replace_present(Present.restored(self.history[0], own))
            self.present.remember(self.history[-1])


def stored_pose(model: GaussianModel) -> Pose:
    """The Gaussians as they are stored, by their constant colours."""
    quats = F.normalize(model.quats_wxyz.detach(), dim=-1)
    return Pose(model.means.detach().clone(), quats, sh_to_rgb(model.params["f_dc"].detach()[:, 0]).clamp_min(0.0))
