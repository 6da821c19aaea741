"""`per_timestep`: the same Gaussians for ever, moved from moment to moment (Dynamic 3D Gaussians, Luiten et al. 2024).

The first moment is trained like a scene in which nothing moves. From then on sizes, opacities and labels are fixed, and
for every further moment positions and rotations are found anew, starting from a guess, held together by their
neighbours. The Gaussians as they are stored are those of the first moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import ndraster
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arguments import MotionParams
from scene.motion import CODE_NAME, MOTIONS, Motion, MotionSetup
from scene.motion.bonds import Bonds
from scene.motion.parts import NUM_LEVELS, Parts, levels_of
from scene.motion.propagation import propagate
from scene.motion.settling import Settling
from scene.motion.timeline import Timeline
from scene.motion.track_store import TrackStore
from scene.motion.trajectories import Trajectories
from utils.spherical_harmonics import sh_to_rgb

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel

TRACKS_NAME = "tracks"  # folder of the poses, below that of the saved iteration
FOREGROUND, BIRTH = 0, 1  # columns of the motion code
SAME_TIME = 1e-6
COLORS = ("colors", "resting_colors", "gains")  # parameters that go on from moment to moment
VISIBLE_CHANGE = 2 / 255  # of a colour; smaller ones are stored once they have added up


@dataclass
class Pose:
    """All Gaussians at one moment, as they were left."""

    means: Tensor  # [N, 3] world units
    quats_wxyz: Tensor  # [N, 4] unit
    colors: Tensor  # [N, 3] RGB, not clamped


class Present:
    """What is trained of a moment after the first, and what it is compared with; its tensors stay where they are."""

    def __init__(self, pose: Pose, foreground: Tensor, moving: Tensor, bonds: Bonds, levels: list[Parts]) -> None:
        """`foreground` and `moving` are rising indices [F] and [M] into all N Gaussians."""
        self.pose, self.foreground, self.moving, self.bonds = pose, foreground, moving, bonds
        self.levels = levels
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

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        own = {"means": self.means, "quats": self.quats, "colors": self.colors, "gains": self.gains}
        own["resting_colors"] = self.resting_colors
        for number, level in enumerate(self.levels):
            own |= {f"turns{number}": level.turns, f"shifts{number}": level.shifts}
        return own

    def _others(self, moving: Tensor) -> Tensor:
        """Rising indices [N - M] of what does not move."""
        mask = torch.ones(len(self.pose.means), dtype=torch.bool, device=moving.device)
        return mask.index_fill_(0, moving, False).nonzero()[:, 0]

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


@MOTIONS.register("per_timestep")
class PerTimestep(Motion):
    """Persistent Gaussians with a pose of their own at every moment."""

    kind = "per_timestep"
    code_width = 2
    grows = True
    optimizer_type = "sparse_adam"  # Adam that does not correct for its start: each moment begins with a burst

    def __init__(self, setup: MotionSetup) -> None:
        self.setup, self.params, self.tracking = setup, setup.params, setup.tracking
        self.times = sorted(set(setup.times)) or [0.0]
        self.timeline = Timeline(self.tracking.first_iterations, self.tracking.step_iterations, len(self.times))
        self.iteration = 0  # 0: not in training
        self.history: list[Pose] = []
        self.present: Present | None = None  # of moments after the first
        self.trajectories: Trajectories | None = None  # of a finished motion
        self.settling = Settling(self.tracking.settle_tolerance)
        self._drawn: tuple[Tensor, Tensor, Tensor] | None = None  # means, quaternions and colours of the last `at`
        self._num_saved = 0  # moments of this run that are on disk
        self._stored_colors: Tensor | None = None  # [N, 3] of the background as it was stored last

    @classmethod
    def create(cls, setup: MotionSetup) -> PerTimestep:
        """See `Motion`."""
        return cls(setup)

    @classmethod
    def of(cls, trajectories: Trajectories, setup: MotionSetup | None = None) -> PerTimestep:
        """A finished motion."""
        motion = cls(replace(setup or MotionSetup(MotionParams()), times=tuple(trajectories.times.tolist())))
        motion.trajectories = trajectories
        return motion

    def describe(self, iterations: int) -> str:
        """See `Motion`."""
        each, first = self.timeline.each, self.timeline.first
        masks = "" if self.uses_masks else "; no masks, everything may move"
        return (
            f"{self.kind}: {len(self.times)} moments, {first} steps for the first, up to {each} for each other{masks}"
        )

    @property
    def uses_masks(self) -> bool:
        """Whether foreground masks say what may move."""
        return self.setup.has_masks and not self.tracking.mask_free

    @property
    def step(self) -> int:
        """Number of the moment that is trained."""
        return self.timeline.step_of(self.iteration)

    @property
    def phase(self) -> object:
        """See `Motion`."""
        return id(self.present)

    @property
    def admitted(self) -> Sequence[int] | None:
        """See `Motion`."""
        now = self.times[self.step]
        return [index for index, time in enumerate(self.setup.times) if time == now]

    def knows(self, time: float) -> bool:
        """See `Motion`."""
        return self.trajectories is not None or time <= self.times[self.step] + SAME_TIME

    # ---- where everything is ----

    def at(self, model: GaussianModel, time: float | Tensor) -> ndraster.Gaussians:
        """See `Motion`; in training a number on the device is the moment that is trained."""
        still = model.activated()
        if isinstance(time, Tensor) or (self.iteration and abs(time - self.times[self.step]) < SAME_TIME):
            return self._now(still)
        means, quats, colors = self._trajectories(model).at(time)
        opacities = still.opacities * self._is_born(model, time)
        moved = replace(still, means=means.to(still.means), quats_wxyz=quats.to(still.means), opacities=opacities)
        return moved if colors is None else recolored(moved, colors.to(still.means))

    def _is_born(self, model: GaussianModel, time: float) -> Tensor:
        """[N] 1 for Gaussians that are there at a moment, 0 for those that come later."""
        step = sum(moment <= time + SAME_TIME for moment in self.times) - 1
        return (model.params[CODE_NAME][:, BIRTH] <= step).to(model.means)

    def _now(self, still: ndraster.Gaussians) -> ndraster.Gaussians:
        """The moment that is trained, differentiable."""
        present = self.present
        if present is None:
            return still
        (means, quats), colors = present.poses(), self._colors(present)
        self._drawn = means, quats, colors
        return recolored(replace(still, means=means, quats_wxyz=quats), colors)

    def _colors(self, present: Present) -> Tensor:
        """RGB [N, 3] of the moment that is trained."""
        if self.tracking.color_mode in ("soft", "free"):
            return present.all_colors()
        if self.tracking.color_mode == "frozen":
            return present.pose.colors
        return present.pose.colors * present.gains[present.group]

    def _trajectories(self, model: GaussianModel) -> Trajectories:
        """The poses so far; of an untrained motion those of the Gaussians as they are."""
        if self.trajectories is not None:
            return self.trajectories
        poses = self.history or [_stored_pose(model)]
        times = torch.tensor(self.times[: len(poses)], dtype=torch.float64)
        columns = ([pose.means for pose in poses], [pose.quats_wxyz for pose in poses], [pose.colors for pose in poses])
        return Trajectories(times, *(torch.stack(values) for values in columns))

    def labels(self, model: GaussianModel) -> Tensor | None:
        """See `Motion`."""
        return model.params[CODE_NAME][:, FOREGROUND : FOREGROUND + 1].detach() if self.uses_masks else None

    # ---- training ----

    def parameter_groups(self) -> list[dict[str, object]]:
        """See `Motion`; none for the first moment, whose values are the model's own."""
        if self.present is None:
            return []
        rates = self._first_rates()
        trained = {name: p for name, p in self.present.parameters.items() if name in rates}
        return [{"name": name, "params": [p], "lr": rates[name]} for name, p in trained.items()]

    def _first_rates(self) -> dict[str, float]:
        t = self.tracking
        rates = {"means": t.track_position_lr * self.setup.extent, "quats": t.track_rotation_lr}
        if t.color_mode in ("soft", "free"):
            rates |= {"colors": t.track_color_lr, "resting_colors": t.resting_color_lr}
        elif t.color_mode == "gain":
            rates["gains"] = t.track_color_lr
        for number in range(NUM_LEVELS if t.parts else 0):
            rates |= {f"turns{number}": t.part_rotation_lr, f"shifts{number}": rates["means"]}
        return rates

    def rates(self) -> dict[str, Callable[[int], float]]:
        """See `Motion`: they fall during each moment."""

        def rate_of(first: float) -> Callable[[int], float]:
            return lambda iteration: first * self.tracking.track_lr_decay ** self.timeline.share(iteration)

        return {name: rate_of(first) for name, first in self._first_rates().items()}

    def on_iteration(self, iteration: int, model: GaussianModel) -> None:
        """See `Motion`."""
        self.iteration = iteration
        if iteration == 1 and not self.uses_masks:
            model.params[CODE_NAME].data[:, FOREGROUND] = 1.0
        if self.timeline.begins(iteration):
            self._begin_moment(model)
        if self.present is not None:  # from now on only poses and colours change
            for parameter in model.params.values():
                parameter.requires_grad_(False)

    def restarted(self) -> list[nn.Parameter]:
        """See `Motion`."""
        begins = self.present is not None and self.timeline.begins(self.iteration)
        return [p for name, p in self.present.parameters.items() if name not in COLORS] if begins else []

    @torch.no_grad()
    def _begin_moment(self, model: GaussianModel) -> None:
        """Guess where everything is by now, and remember where it was."""
        if self.present is None:
            self.present = self._first_present(model)
        now, before = self.history[-1], self.history[max(len(self.history) - 2, 0)]
        poses = [(pose.means[self.present.moving], pose.quats_wxyz[self.present.moving]) for pose in (before, now)]
        means, quats = propagate(*poses, self.tracking.propagation, self.tracking.damping)
        self.present.means.copy_(means)
        self.present.quats.copy_(quats)
        for level in self.present.levels:
            level.restart(means)
        self._remember(now)
        self.settling.restart()

    def _first_present(self, model: GaussianModel) -> Present:
        everything = torch.arange(len(model), device=model.device)
        foreground = everything[model.params[CODE_NAME][:, FOREGROUND] > 0.5]
        return self._present_of(foreground, foreground if self.tracking.fixed_background else everything)

    def _present_of(self, foreground: Tensor, moving: Tensor) -> Present:
        t, pose = self.tracking, self.history[0]
        bonds = Bonds.between(pose.means[foreground], t.num_neighbours, t.neighbour_falloff)
        has_parts = t.parts and t.fixed_background
        return Present(pose, foreground, moving, bonds, levels_of(pose.means[foreground], bonds) if has_parts else [])

    def _remember(self, earlier: Pose) -> None:
        """What the moment that is trained is compared with; in place, as a captured iteration reads it there."""
        present, foreground = self.present, self.present.foreground
        present.earlier_quats.copy_(earlier.quats_wxyz[foreground])
        present.earlier_offsets.copy_(present.bonds.offsets(earlier.means[foreground]))
        present.earlier_colors.copy_(earlier.colors)

    def losses(self) -> dict[str, Tensor]:
        """See `Motion`; of the last `at`."""
        if self.present is None or self._drawn is None:
            return {}
        (means, quats, colors), present, t = self._drawn, self.present, self.tracking
        self._drawn = None  # a graph of gradients that lives on would disturb the capture of an iteration
        own = present.foreground
        whole = len(own) == len(means)
        mine = (means, quats) if whole else (means[own], quats[own])
        rigidity = ndraster.rigidity_losses(*mine, present.earlier_quats, present.earlier_offsets, present.bonds.hood)
        rigid, rotation, isometry = rigidity.unbind()
        losses = {"rigid": t.lambda_rigid * rigid, "rotation": t.lambda_rotation * rotation}
        losses["isometry"] = t.lambda_isometry * isometry
        if t.color_mode == "soft":
            losses["color"] = t.lambda_color * (colors - present.earlier_colors).abs().sum(-1).mean()
        if t.lambda_floor and self.uses_masks:
            losses["floor"] = t.lambda_floor * mine[0][:, 1].clamp_min(0).mean()
        if not t.fixed_background and not whole:
            losses["background"] = t.lambda_background * self._background_loss(means, quats, present)
        return losses

    def _background_loss(self, means: Tensor, quats: Tensor, present: Present) -> Tensor:
        """How far the background is from where it was at first."""
        mask = torch.ones(len(means), 1, device=means.device).index_fill_(0, present.foreground, 0.0)
        apart = (means - present.pose.means).abs() * mask
        turned = (quats - present.pose.quats_wxyz).abs() * mask
        return (apart.sum() + turned.sum()) / mask.sum().clamp_min(1)

    def observe(self, loss: Tensor) -> None:
        """See `Motion`."""
        if self.present is not None:
            self.settling.observe(loss)

    def following(self, iteration: int) -> int:
        """See `Motion`: a moment that has settled is cut short, but for its last iteration."""
        last = self.timeline.end_of(self.timeline.step_of(iteration))
        return last if self.settling.is_settled and iteration + 1 < last else iteration + 1

    def is_due(self, iteration: int) -> bool:
        """See `Motion`."""
        return self.timeline.ends(iteration)

    @torch.no_grad()
    def after_iteration(self, iteration: int, model: GaussianModel) -> None:
        """See `Motion`: the end of a moment is remembered, and what has come apart is let go."""
        if not self.timeline.ends(iteration):
            return
        present, t = self.present, self.tracking
        if present is None:
            self.history.append(_stored_pose(model))
            return
        moved = self._now(model.activated())
        self.history.append(Pose(moved.means.clone(), moved.quats_wxyz.clone(), moved.colors.clone()))
        if t.cut_strain:
            present.bonds.cut(moved.means[present.foreground], t.cut_strain, t.cut_after)

    def speed(self) -> float:
        """How far what may move has moved since the moment before, on average, world units."""
        if self.present is None:
            return 0.0
        now, before = (self.history[index].means[self.present.foreground] for index in (-1, -2))
        return float((now - before).norm(dim=-1).mean())

    # ---- on disk ----

    def state_dict(self) -> dict[str, Tensor]:
        """See `Motion`."""
        state = {}
        if self.history:
            for name in ("means", "quats_wxyz", "colors"):
                state[f"history.{name}"] = torch.stack([getattr(pose, name) for pose in self.history])
        if self.present is not None:
            state |= {f"present.{name}": value.detach() for name, value in self.present.parameters.items()}
            state |= {"foreground": self.present.foreground, "moving": self.present.moving}
            state |= {"weights": self.present.bonds.hood.weights, "strained": self.present.bonds.strained}
            state |= {f"centers{number}": level.centers for number, level in enumerate(self.present.levels)}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See `Motion`."""
        state = {name: value.to(self.setup.device) for name, value in state.items()}
        columns = [state[f"history.{name}"] for name in ("means", "quats_wxyz", "colors")] if state else []
        self.history = [Pose(*values) for values in zip(*columns, strict=True)]
        self._num_saved = len(self.history)
        if "foreground" in state:
            self._restore_present(state)

    @torch.no_grad()
    def _restore_present(self, state: dict[str, Tensor]) -> None:
        """The moment that was being trained, as it was left."""
        self.present = self._present_of(state["foreground"], state["moving"])
        for name, parameter in self.present.parameters.items():
            parameter.copy_(state[f"present.{name}"])
        self.present.bonds.hood.weights.copy_(state["weights"])
        self.present.bonds.strained.copy_(state["strained"])
        for number, level in enumerate(self.present.levels):
            level.centers.copy_(state[f"centers{number}"])
        self._remember(self.history[-1])

    def save(self, folder: Path) -> None:
        """See `Motion`: appends what is not yet there."""
        path = folder / TRACKS_NAME
        if self.trajectories is not None:
            return self._save_all(path)
        store = TrackStore.open(path) if path.is_dir() else self._new_store(path)
        store.truncate(min(store.num_steps, self._num_saved))
        for pose in self.history[store.num_steps :]:
            colors = None if self.tracking.color_mode == "frozen" else pose.colors
            store.append(pose.means, pose.quats_wxyz, colors, self._changed(pose))
        self._num_saved = store.num_steps

    def _new_store(self, path: Path) -> TrackStore:
        return TrackStore.create(path, self.times, self.tracking.track_precision)

    def _save_all(self, path: Path) -> None:
        poses, store = self.trajectories, self._new_store(path)
        moving = (poses.means != poses.means[:1]).any(2).any(0) | (poses.quats_wxyz != poses.quats_wxyz[:1]).any(2).any(
            0
        )
        for index in range(len(poses.times)):
            colors = None if poses.colors is None else poses.colors[index]
            store.append(poses.means[index], poses.quats_wxyz[index], colors, moving)

    def _changed(self, pose: Pose) -> Tensor:
        """[N] bool: what may have moved, and what has another colour than when it was last stored."""
        if self._stored_colors is None:
            self._stored_colors = pose.colors.clone()
            return torch.ones(len(pose.means), dtype=torch.bool, device=pose.means.device)
        changed = (pose.colors - self._stored_colors).abs().amax(1) > VISIBLE_CHANGE
        changed[self.present.moving] = True
        self._stored_colors[changed] = pose.colors[changed]
        return changed

    def load(self, folder: Path) -> None:
        """See `Motion`."""
        self.trajectories = TrackStore.open(folder / TRACKS_NAME).read(self.setup.device)
        self.times = self.trajectories.times.tolist()


def recolored(gaussians: ndraster.Gaussians, colors: Tensor) -> ndraster.Gaussians:
    """The same Gaussians with colours [N, 3] that do not depend on the view."""
    return replace(gaussians, sh=None, sh_rest=None, colors=colors)


def _stored_pose(model: GaussianModel) -> Pose:
    quats = F.normalize(model.quats_wxyz.detach(), dim=-1)
    return Pose(model.means.detach().clone(), quats, sh_to_rgb(model.params["f_dc"].detach()[:, 0]).clamp_min(0.0))
