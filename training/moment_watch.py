"""What is said and checked at the end of every moment of a scene that is followed through time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arguments import TrackingParams
from training.run_log import RunLog
from utils.errors import UserError
from utils.progress import say

if TYPE_CHECKING:
    from training.trainer import Trainer

MEASURED_VIEWS = 4  # of a moment


class MomentWatch:
    """Reports each moment, and stops where one is far worse than the one before."""

    def __init__(self, tracking: TrackingParams, extent: float) -> None:
        self.max_drop_db, self.max_displacement = tracking.max_drop_db, tracking.max_displacement * extent
        self._psnr: float | None = None  # of the moment before

    def report(self, trainer: Trainer, log: RunLog) -> None:
        """Measure some training views of the moment that has just ended, say and log it."""
        motion, iteration = trainer.model.motion, trainer.iteration
        admitted = motion.admitted
        views = [trainer.scene.train[index] for index in admitted[:: max(1, len(admitted) // MEASURED_VIEWS)]]
        psnr = trainer.quality(views)["psnr"]
        speed, step = motion.speed(), motion.step
        seconds = round(trainer.seconds, 3)
        log.write(iteration, "moment", moment=step, psnr=psnr, speed=speed, seconds=seconds)
        say(f"moment {step + 1} of {len(motion.times)}: PSNR {psnr:.2f} dB, moved by {speed:.3g}, {seconds:.0f} s")
        self._check_speed(speed, step)
        self._check(psnr, step)

    def _check_speed(self, speed: float, step: int) -> None:
        if self.max_displacement and speed > self.max_displacement:
            raise UserError(
                f"moment {step + 1}: what may move has moved by {speed:.3g} on average; expected at most "
                f"{self.max_displacement:.3g}: look for frames that are left out or for cameras out of step, or go on "
                "with --max_displacement 0; all moments before are saved"
            )

    def _check(self, psnr: float, step: int) -> None:
        """The first moment is no measure for the others: there sizes, opacities and colours are fitted too."""
        before, self._psnr = self._psnr, psnr if step else None
        if before is not None and self.max_drop_db and not psnr > before - self.max_drop_db:
            raise UserError(
                f"moment {step + 1}: PSNR {psnr:.2f} dB after {before:.2f} dB at the one before; expected at most "
                f"{self.max_drop_db:g} dB less: look for frames that are not of one moment or for wrong masks, give "
                "more --step_iterations, or go on with --max_drop_db 0; all moments before are saved"
            )
