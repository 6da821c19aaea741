"""`per_timestep`: the same Gaussians for ever, moved from moment to moment (Dynamic 3D Gaussians, Luiten et al. 2024).

The first moment is trained like a scene in which nothing moves. From then on sizes, opacities and labels are fixed, and
for every further moment positions and rotations are found anew, starting from a guess, held together by their
neighbours. The Gaussians as they are stored are those of the first moment, and behind them those that were born later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import ndraster
import torch
from torch import Tensor, nn

from arguments import MotionParams
from scene.motion import CODE_NAME, MOTIONS, Motion, MotionSetup
from scene.motion.following import BIRTH, FOREGROUND, Following
from scene.motion.present import Present, recolored
from scene.motion.settling import Settling
from scene.motion.timeline import Timeline
from scene.motion.track_rates import first_rates
from scene.motion.track_store import TrackStore
from scene.motion.track_writer import TrackWriter, write_all
from scene.motion.trajectories import Trajectories
from utils.spherical_harmonics import rgb_to_sh, sh_to_rgb

if TYPE_CHECKING:
    from scene.gaussian_model import GaussianModel

TRACKS_NAME = "tracks"  # folder of the poses, below that of the saved iteration
SAME_TIME = 1e-6
COLORS = ("colors", "resting_colors", "gains")  # parameters that go on from moment to moment


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
        self._views = [[view for view, at in enumerate(setup.times) if at == time] for time in self.times]
        self.iteration = 0  # 0: not in training
        self.course = Following(self.tracking)  # in training
        self.trajectories: Trajectories | None = None  # of a finished motion
        self.settling = Settling(self.tracking.settle_tolerance)
        colored = self.tracking.color_mode != "frozen"
        self.writer = TrackWriter(self.times, self.tracking.track_precision, colored)

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
    def present(self) -> Present | None:
        """What is trained of a moment after the first."""
        return self.course.present

    @property
    def step(self) -> int:
        """Number of the moment that is trained."""
        return self.timeline.step_of(self.iteration)

    @property
    def phase(self) -> object:
        """See `Motion`."""
        return self.course.num_presents

    @property
    def revision(self) -> int:
        """See `Motion`."""
        return self.course.revision

    @property
    def admitted(self) -> Sequence[int] | None:
        """See `Motion`."""
        return self._views[self.step]

    def knows(self, time: float) -> bool:
        """See `Motion`."""
        return self.trajectories is not None or time <= self.times[self.step] + SAME_TIME

    def rows(self, chosen: Tensor) -> PerTimestep:
        """See `Motion`; of one that is in training there are no parts yet."""
        if self.trajectories is None:
            raise ValueError("the motion is in training; expected a finished one; save it and load that")
        return PerTimestep.of(self.trajectories.rows(chosen.to(self.trajectories.means.device)), self.setup)

    def recolored(self, mask: Tensor, recolor: Callable[[Tensor], Tensor]) -> PerTimestep:
        """See `Motion`."""
        poses = self.trajectories
        if poses is None or poses.colors is None:
            return self
        colors, mask = poses.colors.clone(), mask.to(poses.colors.device)
        chosen = colors[:, mask]  # [T, M, 3]
        changed = recolor(rgb_to_sh(chosen.flatten(0, 1))[:, None])
        colors[:, mask] = sh_to_rgb(changed[:, 0]).view_as(chosen)
        return PerTimestep.of(replace(poses, colors=colors), self.setup)

    # ---- where everything is ----

    def at(self, model: GaussianModel, time: float | Tensor) -> ndraster.Gaussians:
        """See `Motion`; in training a number on the device is the moment that is trained."""
        still = model.activated()
        if isinstance(time, Tensor) or (self.iteration and abs(time - self.times[self.step]) < SAME_TIME):
            return self.course.now(still)
        means, quats, colors = self._trajectories(model).at(time)
        opacities = still.opacities * self._is_born(model, time)
        moved = replace(still, means=means.to(still.means), quats_wxyz=quats.to(still.means), opacities=opacities)
        return moved if colors is None else recolored(moved, colors.to(still.means))

    def _is_born(self, model: GaussianModel, time: float) -> Tensor:
        """[N] 1 for Gaussians that are there at a moment, 0 for those that come later."""
        step = sum(moment <= time + SAME_TIME for moment in self.times) - 1
        return (model.params[CODE_NAME][:, BIRTH] <= step).to(model.means)

    def _trajectories(self, model: GaussianModel) -> Trajectories:
        """The poses so far; of an untrained motion those of the Gaussians as they are."""
        if self.trajectories is not None:
            return self.trajectories
        return self.course.trajectories(self.times, model)

    def labels(self, model: GaussianModel) -> Tensor | None:
        """See `Motion`."""
        return model.params[CODE_NAME][:, FOREGROUND : FOREGROUND + 1].detach() if self.uses_masks else None

    # ---- training ----

    def parameter_groups(self) -> list[dict[str, object]]:
        """See `Motion`; none for the first moment, whose values are the model's own."""
        if self.present is None:
            return []
        rates = first_rates(self.tracking, self.setup.extent)
        trained = {name: p for name, p in self.present.parameters.items() if name in rates}
        return [{"name": name, "params": [p], "lr": rates[name]} for name, p in trained.items()]

    def rates(self) -> dict[str, Callable[[int], float]]:
        """See `Motion`: they fall during each moment."""

        def rate_of(first: float) -> Callable[[int], float]:
            return lambda iteration: first * self.tracking.track_lr_decay ** self.timeline.share(iteration)

        return {name: rate_of(first) for name, first in first_rates(self.tracking, self.setup.extent).items()}

    def on_iteration(self, iteration: int, model: GaussianModel) -> None:
        """See `Motion`."""
        self.iteration = iteration
        if iteration == 1 and not self.uses_masks:
            model.params[CODE_NAME].data[:, FOREGROUND] = 1.0
        if self.timeline.begins(iteration):
            self.course.begin(model, self.step)
            self.settling.restart()
        if self.present is not None:  # from now on only poses and colours change
            for parameter in model.params.values():
                parameter.requires_grad_(False)

    def restarted(self) -> list[nn.Parameter]:
        """See `Motion`."""
        begins = self.present is not None and self.timeline.begins(self.iteration)
        return [p for name, p in self.present.parameters.items() if name not in COLORS] if begins else []

    def observe(self, loss: Tensor) -> None:
        """See `Motion`."""
        if self.present is not None:
            self.settling.observe(loss)

    def following(self, iteration: int) -> int:
        """See `Motion`: a moment that has settled is cut short, but for its last iteration."""
        step = self.timeline.step_of(iteration)
        last = self.timeline.end_of(step)
        is_done = self.settling.is_settled and iteration >= self._birth_check(step)
        return last if is_done and iteration + 1 < last else iteration + 1

    def is_due(self, iteration: int) -> bool:
        """See `Motion`."""
        return self.timeline.ends(iteration)

    @torch.no_grad()
    def after_iteration(self, iteration: int, model: GaussianModel) -> None:
        """See `Motion`."""
        if self.timeline.ends(iteration):
            self.course.end(model, self.step)

    def losses(self) -> dict[str, Tensor]:
        """See `Motion`; of the last `at`."""
        return self.course.losses(has_floor=self.uses_masks)

    def speed(self) -> float:
        """How far what may move has moved since the moment before, on average, world units."""
        return self.course.speed()

    # ---- what rests ----

    def seeks_rest(self, iteration: int) -> bool:
        """See `Motion`: at the end of the first moment, where no masks say it."""
        return self.tracking.find_resting and not self.uses_masks and iteration == self.timeline.end_of(0)

    @torch.no_grad()
    def let_rest(self, model: GaussianModel, resting: Tensor) -> None:
        """See `Motion`."""
        model.params[CODE_NAME][resting, FOREGROUND] = 0.0
        self.course.revision += 1

    # ---- newcomers ----

    def _birth_check(self, step: int) -> int:
        """After which iteration of a moment newcomers are looked for; 0 = never."""
        return self.timeline.within(step, self.tracking.birth_check) if self.tracking.births and step else 0

    def seeks_newcomers(self, iteration: int) -> bool:
        """See `Motion`; never after the last iteration of a moment, whose poses are finished."""
        step = self.timeline.step_of(iteration)
        checked = self.present is not None and iteration == self._birth_check(step)
        return checked and not self.timeline.ends(iteration)

    def welcome(self, model: GaussianModel) -> None:
        """See `Motion`."""
        self.course.welcome(model, self.step)
        self.settling.restart()

    # ---- on disk ----

    def state_dict(self) -> dict[str, Tensor]:
        """See `Motion`."""
        colors = self.writer.stored_colors
        return self.course.state_dict() | ({} if colors is None else {"stored_colors": colors})

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See `Motion`."""
        state = {name: value.to(self.setup.device) for name, value in state.items()}
        self.writer.stored_colors = state.pop("stored_colors", None)
        self.course.load_state_dict(state)
        self.writer.num_saved = len(self.course.history)

    def save(self, folder: Path) -> None:
        """See `Motion`: appends what is not yet there."""
        path = folder / TRACKS_NAME
        if self.trajectories is not None:
            write_all(path, self.trajectories, self.tracking.track_precision)
        else:
            self.writer.write(path, self.course.history, None if self.present is None else self.present.moving)

    def load(self, folder: Path) -> None:
        """See `Motion`."""
        self.trajectories = TrackStore.open(folder / TRACKS_NAME).read(self.setup.device)
        self.times = self.trajectories.times.tolist()
