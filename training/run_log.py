"""What a training run reports: metrics.jsonl always, TensorBoard when asked, and the watch on the loss."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from scene.gaussian_model import GaussianModel
from scene.motion import Motion
from utils.errors import UserError
from utils.files import append_jsonl, atomic_path, read_jsonl
from utils.progress import warn

METRICS_NAME = "metrics.jsonl"
COLLAPSE = 3.0  # times its best: a loss that stays there has lost the scene
PATIENCE = 1000  # iterations; opacity resets are over sooner


class RunLog:
    """Appends records to `<model_path>/metrics.jsonl` and mirrors their numbers to TensorBoard.

    Args:
        model_path: output folder.
        first_iteration: records after this iteration (of a run that was killed) are dropped.
        tensorboard: also write TensorBoard events, if the package is installed.
    """

    def __init__(self, model_path: Path, first_iteration: int = 0, tensorboard: bool = False):
        self._path = model_path / METRICS_NAME
        self._board = _open_tensorboard(model_path) if tensorboard else None
        if self._path.exists():
            self._drop_after(first_iteration)

    def write(self, iteration: int, split: str, **figures: object) -> None:
        """Write one record: `iteration`, `split` (train, test, train_sample) and named figures."""
        append_jsonl(self._path, {"iteration": iteration, "split": split, **figures})
        if self._board is not None:
            for name, value in figures.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{split}/{name}", value, iteration)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def _drop_after(self, iteration: int) -> None:
        records = read_jsonl(self._path)
        lines = self._path.read_bytes().splitlines(keepends=True)[: len(records)]
        kept = [line for line, record in zip(lines, records, strict=True) if _is_by(record, iteration)]
        with atomic_path(self._path) as temp:
            temp.write_bytes(b"".join(kept))


class LossWatch:
    """Keeps the losses of the last iterations on the device and reads them together, so that the GPU never waits.

    A loss that is not finite stops the training, with the iteration at which it first happened. One that stays far
    above its best is reported once, with what may help.
    """

    def __init__(self, read_every: int):
        self._read_every = read_every
        self._pending: list[tuple[int, Tensor]] = []
        self.smoothed = math.nan  # exponential average, about 1 / (1 - 0.98) iterations long
        self._best, self._fine_until, self._has_warned = math.inf, 0, False

    def record(self, iteration: int, loss: Tensor, model: GaussianModel) -> None:
        """Note the loss of one iteration; reads the device every `read_every` iterations."""
        self._pending.append((iteration, loss.detach()))
        if len(self._pending) >= self._read_every:
            self.read(model)

    def read(self, model: GaussianModel) -> None:
        """Fetch what is pending; raises UserError at the first value that is not finite."""
        if not self._pending:
            return
        values = torch.stack([loss for _, loss in self._pending]).tolist()
        for (iteration, _), value in zip(self._pending, values, strict=True):
            if not math.isfinite(value):
                raise UserError(
                    f"the loss is {value} at iteration {iteration}; {describe_non_finite(model)}: "
                    "look for broken images or poses, or lower the learning rates"
                )
            self.smoothed = value if math.isnan(self.smoothed) else 0.98 * self.smoothed + 0.02 * value
            self._look_for_collapse(iteration)
        self._pending.clear()

    def _look_for_collapse(self, iteration: int) -> None:
        self._best = min(self._best, self.smoothed)
        if self.smoothed <= COLLAPSE * self._best:
            self._fine_until = iteration
        elif iteration - self._fine_until >= PATIENCE and not self._has_warned:
            self._has_warned = True
            warn(
                f"the loss is {self.smoothed:.3g} at iteration {iteration} and was {self._best:.3g}: what was learnt "
                "is being lost; poor poses or too many Gaussians can do that, where things move also --is_blender on "
                "recorded data; try --lambda_offset 0.03, an earlier --densify_until_iter or a smaller --max_gaussians"
            )


def require_finite_motion(model: GaussianModel, iteration: int) -> None:
    """Raise UserError where the motion is lost: what it moves is drawn nowhere, so that the loss does not show it."""
    if not _is_finite(model.motion):
        raise UserError(
            f"the motion is not finite any more at iteration {iteration}; expected numbers: lower --deform_lr_init, "
            "raise --lambda_offset, or take --motion motion_bases"
        )


def describe_non_finite(model: GaussianModel) -> str:
    """Names the first parameter with values that are not finite, and how many Gaussians have some."""
    for name, parameter in model.params.items():
        bad = ~torch.isfinite(parameter.detach()).flatten(1).all(1)
        if bool(bad.any()):
            return f"first parameter that is not finite: {name} ({int(bad.sum())} of {len(bad)} Gaussians)"
    return "all parameters are still finite"


def _is_finite(motion: Motion) -> bool:
    return all(
        bool(torch.isfinite(parameter).all()) for group in motion.parameter_groups() for parameter in group["params"]
    )


def _is_by(record: object, iteration: int) -> bool:
    return isinstance(record, dict) and record.get("iteration", 0) <= iteration


def _open_tensorboard(model_path: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        warn("--tensorboard: the package is missing, so no events are written; `pip install tensorboard` adds it")
        return None
    return SummaryWriter(str(model_path))
