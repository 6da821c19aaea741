"""Features or labels on Gaussians that stay as they are (`--freeze_geometry`)."""

from __future__ import annotations

import time
from collections.abc import Sequence

from scene import Scene
from scene.cameras import Camera
from scene.gaussian_model import FEATURE_NAME, GaussianModel
from training.distillation import Distiller
from training.graphed_step import Step
from training.lifting import lift_features
from training.options import RunOptions
from training.run_log import RunLog
from training.schedules import CameraOrder
from training.trainer import Trainer


class FrozenTrainer(Trainer):
    """The loop without colours: no photo is read, no image rendered, nothing densified, pruned or reset.

    What is lifted is lifted at once; lifting alone is one pass, saved as the first iteration.
    """

    def __init__(self, options: RunOptions, scene: Scene, model: GaussianModel, distiller: Distiller) -> None:
        super().__init__(options, scene, model, distiller)
        self._graphs = None
        self.exposure = None
        self.density.stop()
        self.views = tuple(camera for camera in scene.train if distiller.has_map(camera))
        self.order = CameraOrder(len(self.views))
        if distiller.plan.mode == "lift":
            self.total = 1
        for name, parameter in model.params.items():
            parameter.requires_grad_(name == FEATURE_NAME)

    def run(self) -> None:
        """Lift, or train up to `--iterations`, or both; see `Trainer.run`."""
        if self.distiller.plan.mode == "lift":
            self._lift_only()
            return
        if self.iteration == 0 and self.distiller.plan.mode == "lift+sgd":
            lift_features(self)
        super().run()

    def _lift_only(self) -> None:
        self._started = time.perf_counter()
        self.iteration = self.total
        with RunLog(self.model_path, 0, self.options.train.tensorboard) as log:
            lift_features(self)
            log.write(self.iteration, "train", count=self.model.num_gaussians, seconds=round(self.seconds, 3))
            self.save()
            self.evaluate(log)

    def _iterate(self) -> Step:
        camera = self.views[self.order.draw()]
        loss = self.distiller.loss_alone(self.model, camera, self.settings) * self.options.semantic.loss_reduce
        loss.backward()
        self._watch.record(self.iteration, loss, self.model)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.distiller.step()
        return Step(None, None, loss.detach(), None)

    def _measure(self, cameras: Sequence[Camera]) -> dict[str, float]:
        return self._agreement(cameras)
