"""The one training loop. It never asks what kind of scene or motion it trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from ndraster import RasterOutput
from torch import Tensor

from arguments import OptimizationParams
from gaussian_renderer import RenderSettings, first_rows, render
from gaussian_renderer.feature_decoder import decoder_path
from gaussian_renderer.trained import saved_iteration_folder
from scene import Scene
from scene.cameras import Camera
from scene.checkpoint import checkpoint_path, save_checkpoint
from scene.formats.ply import FEATURE_PREFIX
from scene.gaussian_model import GaussianModel
from scene.image_store import GroundTruth, format_bytes
from scene.layer_files import layer_file, save_layers, write_model_ply
from scene.motion.files import motion_folder, save_motion
from training import state
from training.cleaning import clean, cleaning_step
from training.distillation import Distiller
from training.evaluation import describe_quality, evaluate, image_psnr, train_sample
from training.exposure import ExposureLearner
from training.graphed_step import GraphedSteps, ModelState, Step
from training.inactive_purge import InactivePurge, PurgePlan
from training.interruption import StopRequest
from training.lifting import lift_features, start_without_lift
from training.losses import compared, foreground_loss, image_loss, l1_loss, weighted_sum
from training.moment_watch import MomentWatch
from training.newcomers import welcome_newcomers
from training.optimizers import DenseAdam, SparseAdam, build_optimizer, learning_rates, parameter_groups
from training.options import RunOptions
from training.output_folder import resume_command
from training.parameter_surgery import zero_moments
from training.priors import Priors
from training.resting import let_rest
from training.run_log import LossWatch, RunLog, require_finite_motion
from training.schedules import SH_DEGREE_INTERVAL, Background, CameraOrder, GrowingOrder, LearningRates
from training.strategy import make_strategy
from utils.progress import Progress, say
from utils.schedules import exponential_rate

READ_LOSS_EVERY = 20  # iterations between two waits for the GPU
MAX_LOG_INTERVAL = 100
_NO_PHASE = object()  # equal to no phase of a motion
COMPAT_SCALE = 5.0  # of the positions' learning rate in Deformable 3DGS, whatever the scene


class Observer(Protocol):
    """Somebody who looks at the model while it does not change, e.g. a viewer."""

    def between_iterations(self, stop: StopRequest) -> None:
        """Called after each iteration; training goes on when it returns, which it must once stopping is requested."""


class Trainer:
    """Optimises one model on one scene.

    One iteration: learning rates and SH degree, a random camera and background, render, losses, backward, statistics,
    optimizer step; then report and save; then densify, prune and reset; then checkpoint. The optimizer steps before
    densification (graphdeco: after, which loses every densifying iteration's step), and what is saved or measured at
    iteration N has had N steps and is not freshly split or faded.
    """

    def __init__(self, options: RunOptions, scene: Scene, model: GaussianModel, distiller: Distiller | None = None):
        optimization = options.optimization
        self.options, self.scene, self.model, self.distiller = options, scene, model, distiller
        self.model_path = Path(options.model.model_path)
        self.iteration = 0
        self.total = optimization.iterations
        self.earlier_seconds = 0.0  # spent in the loop before it was resumed
        self._started: float | None = None
        self.rolling_checkpoint: Path | None = None  # deleted once a newer one is written
        extent = COMPAT_SCALE if options.motion.compat_scale else scene.extent
        feature_rate = distiller.learning_rate if distiller is not None else 0.0
        rates = learning_rates(optimization, feature_rate, extent, options.motion.motion_code_lr)
        self.optimizer = build_optimizer(optimization.optimizer_type, parameter_groups(model.params, rates))
        self.motion_optimizer: DenseAdam | SparseAdam | None = None
        self._motion_phase: object = _NO_PHASE  # in which that was looked at last
        self._motion_parameters: list[int] = []  # for which it was made
        self.renew_motion_optimizer()
        self.rates = LearningRates({"xyz": _position_rate(optimization, extent)})
        self.motion_rates = LearningRates(model.motion.rates())
        self.density = make_strategy(optimization, scene.extent, options.model.white_background)
        self.density.reset_statistics(model)
        self.purge = InactivePurge(PurgePlan.from_options(options, over_layers=bool(model.layers)))
        self.order = self._camera_order()
        self.background = Background(options.model.white_background, optimization.random_background, model.device)
        self.settings = RenderSettings(backend=options.model.backend, antialiasing=options.pipeline.antialiasing)
        self.priors = Priors(optimization, model.device)
        self.exposure = self._exposure_learner()
        self._weights = {
            "alpha": optimization.lambda_alpha,
            "features": options.semantic.loss_reduce,
            "foreground": options.tracking.lambda_foreground,
            **self.priors.weights,
        }
        self._watch = LossWatch(1 if model.device.type == "cpu" or options.pipeline.debug else READ_LOSS_EVERY)
        self._log_every = max(1, min(MAX_LOG_INTERVAL, optimization.iterations // 50))
        self._saved_revision: int | None = None  # of the model's rows, where the motion adds some
        self.moments = MomentWatch(options.tracking, scene.extent)
        self.figures: dict[str, object] = {}  # the last that were measured, by name
        self.observer: Observer | None = None
        self._graphs = self._graphed_steps()

    def run(self) -> None:
        """Train up to `--iterations`; raises KeyboardInterrupt after saving a checkpoint when asked to stop."""
        total = self.total
        self._started = time.perf_counter()
        if self.iteration == 0:
            start_without_lift(self)
        log = RunLog(self.model_path, self.iteration, self.options.train.tensorboard)
        with log, StopRequest() as stop, Progress(total, initial=self.iteration) as bar:
            while self.iteration < total:
                self.iteration = self.model.motion.following(self.iteration)
                self._report(self._iterate(), bar, log)
                self.purge.update(self, log)
                self.density.update(self.model, self.optimizer, self.iteration)
                if self.model.motion.seeks_rest(self.iteration):
                    let_rest(self)
                if self.options.optimization.clean and self.iteration == cleaning_step(total):
                    clean(self)
                if self.model.motion.seeks_newcomers(self.iteration):
                    welcome_newcomers(self)
                self._checkpoint()
                if self.observer is not None:
                    self.observer.between_iterations(stop)
                if stop.requested and self.iteration < total:
                    self._interrupted()
        self.purge.say_total()

    @property
    def seconds(self) -> float:
        """Time spent in the loop, also before it was resumed, with measuring and saving."""
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self.earlier_seconds + running

    def _iterate(self) -> Step:
        iteration, model = self.iteration, self.model
        self.rates.apply(self.optimizer, iteration)
        self._prepare_motion()
        self.priors.prepare(iteration)
        if self.exposure is not None:
            self.exposure.prepare(iteration)
        if iteration % SH_DEGREE_INTERVAL == 0:
            model.oneup_sh_degree()
        self.order.admit(model.motion.admitted)
        self.purge.begin(model, self.density.version)
        camera = self._timed(self.scene.train[self.order.draw()])
        background = self.background.draw()
        step = self._graphed(camera, background) or self._eager(camera, background)
        self.scene.images.prefetch(self.scene.train[self.order.upcoming])
        model.motion.observe(step.loss)
        model.motion.after_iteration(iteration, model)
        return step

    def _prepare_motion(self) -> None:
        motion = self.model.motion
        motion.on_iteration(self.iteration, self.model)
        self.renew_motion_optimizer()
        if self.motion_optimizer is not None:
            self.motion_rates.apply(self.motion_optimizer, self.iteration)
            for parameter in motion.restarted():
                zero_moments(self.motion_optimizer, parameter)

    def renew_motion_optimizer(self) -> None:
        """Another optimizer where the motion has other parameters than it had, which only a new phase brings."""
        if self.model.motion.phase == self._motion_phase:
            return
        self._motion_phase = self.model.motion.phase
        groups = self.model.motion.parameter_groups()
        parameters = [id(parameter) for group in groups for parameter in group["params"]]
        if parameters != self._motion_parameters:
            self._motion_parameters = parameters
            self.motion_optimizer = build_optimizer(self.model.motion.optimizer_type, groups) if groups else None

    def _exposure_learner(self) -> ExposureLearner | None:
        """What learns how each training picture was exposed, where that is asked for."""
        options, names = self.options, [camera.image_name for camera in self.scene.train]
        if not options.model.exposure:
            return None
        is_free = options.model.train_test_exp
        return ExposureLearner(names, options.optimization, not is_free, self.model.device)

    def _camera_order(self) -> CameraOrder:
        """All views in turn; where things move, those of all times only after a while."""
        train, steps = self.scene.train, self.options.motion.grow_steps
        if self.model.motion.is_static or not steps:
            return CameraOrder(len(train))
        return GrowingOrder(len(train), times=[camera.time for camera in train], steps=steps)

    def _timed(self, camera: Camera) -> Camera:
        """The view at the moment that the motion wants it rendered at."""
        time = self.model.motion.training_time(camera.time, len(self.order.remaining))
        return camera if time == camera.time else replace(camera, time=time)

    def _eager(self, camera: Camera, background: Tensor | None) -> Step:
        truth = self.scene.images.get(camera, background)
        return self._work(camera, background, truth, watch=self._watch)

    def _graphed(self, camera: Camera, background: Tensor | None) -> Step | None:
        """The same as a CUDA graph, or None where graphs are not used."""
        if self._graphs is None or self._distils(camera):
            return None
        self.optimizer.rates.upload(self.optimizer)
        if self.motion_optimizer is not None:
            self.motion_optimizer.rates.upload(self.motion_optimizer)
        density, model = self.density, self.model
        observes = density.observes_at(self.iteration)
        num_rows = model.num_gaussians + model.layers.num_gaussians
        state = ModelState(density.version, num_rows, model.active_sh_degree, model.motion.phase, observes)
        step = self._graphs.run(camera, background, state)
        if step is not None:
            self._watch.record(self.iteration, step.loss.clone(), model)
        return step

    def _work(
        self,
        camera: Camera,
        background: Tensor | None,
        truth: GroundTruth,
        max_instances: int = 0,
        watch: LossWatch | None = None,
    ) -> Step:
        """Render, losses, backward, statistics, optimizer step; waits for the device only where it must."""
        output = self._exposed(self._render(camera, background, max_instances, truth), camera, background)
        loss = weighted_sum(self._losses(output, camera, truth), self._weights)
        loss.backward()
        if watch is not None:
            watch.record(self.iteration, loss, self.model)
        output = first_rows(output, self.model.num_gaussians)
        self.density.observe(output, self.iteration)
        self.purge.observe(self.model)
        self._step(output)
        if self._distils(camera):
            self.distiller.step()
        return Step(output.color.detach(), truth, loss.detach(), output.instances)

    def _graphed_steps(self) -> GraphedSteps | None:
        """Where iterations are sequences of launches that do not depend on values, on a GPU, their graphs."""
        train, device = self.options.train, self.model.device
        wanted = train.cuda_graph and not (train.detect_anomaly or self.options.pipeline.debug)
        if not wanted or device.type != "cuda" or self.settings.backend not in ("auto", "cuda"):
            return None
        return GraphedSteps(self._work, self._count_pairs, self.scene.train, self.scene.images, device)

    @torch.no_grad()
    def _count_pairs(self, camera: Camera) -> int:
        settings = replace(self.settings, with_features=False)
        return int(render(camera, self.model, settings=settings).instances)

    def _distils(self, camera: Camera) -> bool:
        return self.distiller is not None and self.distiller.is_active(camera, self.iteration)

    def _render(
        self, camera: Camera, background: Tensor | None, max_instances: int, truth: GroundTruth
    ) -> RasterOutput:
        distiller, active = self.distiller, self._distils(camera)
        labels = None if active or truth.foreground is None else self.model.motion.labels(self.model)
        if labels is not None:
            settings = replace(self.settings, semantic_geometry_grad=True, max_instances=max_instances)
            return render(camera, self.model, background, settings=settings, features=labels)
        with_features = active and not distiller.samples(self.model, self.settings.backend)
        settings = replace(
            self.settings,
            with_features=with_features,
            feature_size=distiller.feature_size(camera) if with_features else None,
            semantic_geometry_grad=self.options.semantic.semantic_geometry_grad,
            max_instances=max_instances,
        )
        rows = None
        if with_features:
            rows = distiller.splatted(self.model.layers.behind_rows(self.model.features))
        return render(camera, self.model, background, settings=settings, features=rows)

    def draw(self, camera: Camera, background: Tensor | None, truth: GroundTruth) -> RasterOutput:
        """One view as training renders it, with labels where it has them."""
        return self._exposed(self._render(camera, background, 0, truth), camera, background)

    def _exposed(self, output: RasterOutput, camera: Camera, background: Tensor | None) -> RasterOutput:
        """The render as the camera's photograph was exposed, where that is learnt."""
        return output if self.exposure is None else self.exposure.applied(output, camera, background)

    def _losses(self, output: RasterOutput, camera: Camera, truth: GroundTruth) -> dict[str, Tensor]:
        lambda_dssim, backend = self.options.optimization.lambda_dssim, self.settings.backend
        with_alpha = self.options.model.alpha_train and self.options.optimization.lambda_alpha == 0
        losses = {"image": image_loss(*compared(output, truth, with_alpha), lambda_dssim, truth.weight, backend)}
        if self.options.optimization.lambda_alpha > 0 and truth.alpha is not None:
            losses["alpha"] = l1_loss(output.alpha, truth.alpha, truth.weight)
        if self._distils(camera):
            losses["features"] = self._feature_loss(output, camera)
        elif output.features is not None:
            drawn = (output.features, output.alpha)
            losses["foreground"] = foreground_loss(*drawn, truth.foreground, lambda_dssim, truth.weight, backend)
        return losses | self.model.motion.losses() | self.priors.losses(output, truth, self.model)

    def _feature_loss(self, output: RasterOutput, camera: Camera) -> Tensor:
        if output.features is not None:
            return self.distiller.loss(output.features, camera)
        return self.distiller.loss_alone(self.model, camera, self.settings)

    def _step(self, output: RasterOutput) -> None:
        self.optimizer.step(output.radii)
        self.optimizer.zero_grad(set_to_none=True)
        if self.motion_optimizer is not None:
            self.motion_optimizer.step()
            self.motion_optimizer.zero_grad(set_to_none=True)
        if self.exposure is not None:
            self.exposure.step()

    def _report(self, step: Step, bar: Progress, log: RunLog) -> None:
        iteration, last = self.iteration, self.total
        fields: dict[str, object] = {}
        if iteration % self._log_every == 0 or iteration == last:
            fields = self._training_figures(step)
            log.write(iteration, "train", **fields, seconds=round(self.seconds, 3))
            fields |= memory_in_use(self.model.device)
            self.figures = fields
        bar.update(iteration, **fields)
        is_tested = iteration in self.options.train.test_iterations
        is_due = self.model.motion.is_due(iteration)
        is_saved = iteration in self.options.train.save_iterations or iteration == last
        if self.distiller is not None:
            is_shown = is_saved or (is_tested and self.distiller.is_measured)
            if self.distiller.plan.lifts_at(iteration, is_shown):
                lift_features(self)
        if is_due:
            self.moments.report(self, log)
        if is_tested:
            self.evaluate(log)
        if is_saved or is_due:
            self.save()

    def _training_figures(self, step: Step) -> dict[str, object]:
        self._watch.read(self.model)
        require_finite_motion(self.model, self.iteration)
        quality = {} if step.color is None else {"psnr": image_psnr(step.color, step.truth)}
        return {"loss": float(step.loss), **quality, "count": self.model.num_gaussians}

    def evaluate(self, log: RunLog) -> None:
        """Measure the test views and a few training views, say and log it."""
        for split, all_cameras in (("test", self.scene.test), ("train_sample", train_sample(self.scene.train))):
            cameras = [camera for camera in all_cameras if self.model.motion.knows(camera.time)]
            figures = self._measure(cameras) if cameras else {}
            if figures:
                log.write(self.iteration, split, **figures, views=len(cameras), count=self.model.num_gaussians)
                text = describe_quality(figures)
                say(f"iteration {self.iteration}, {split.replace('_', ' ')} ({len(cameras)} views): {text}")

    def _measure(self, cameras: Sequence[Camera]) -> dict[str, float]:
        """Quality of the colours, and of labels where there are some."""
        return self.quality(cameras) | self._agreement(cameras)

    def quality(self, cameras: Sequence[Camera]) -> dict[str, float]:
        """PSNR, SSIM and L1 of the colours."""
        background = self.background.fixed
        settings = replace(self.settings, with_features=False)
        draw = partial(self._draw, background=background, settings=settings)
        truth_of = partial(self.scene.images.get, background=background)
        return evaluate(cameras, draw, truth_of, self.settings.backend)

    def _agreement(self, cameras: Sequence[Camera]) -> dict[str, float]:
        """Quality of what is distilled, as far as the teacher can tell."""
        return {} if self.distiller is None else self.distiller.quality(self.model, cameras, self.settings)

    def _draw(self, camera: Camera, background: Tensor | None, settings: RenderSettings) -> Tensor:
        return self._exposed(render(camera, self.model, background, settings=settings), camera, background).color

    def save(self) -> None:
        """Write the point cloud (and its motion, and the decoder) of this iteration."""
        self._watch.read(self.model)
        grows = self.model.motion.grows
        number = self.total if grows else self.iteration
        ply = saved_iteration_folder(self.model_path, number) / "point_cloud.ply"
        revision = self.model.motion.revision
        if not grows or self.iteration == self.total or revision != self._saved_revision:
            prefix = FEATURE_PREFIX if self.distiller is None else self.distiller.column_prefix
            name = self.model_path.resolve().name
            write_model_ply(ply, self.model, name, prefix, self.options.train.inline_layers)
            if self.options.train.save_layer:
                save_layers(layer_file(self.model_path, number), self.model, name)
            self._saved_revision = revision
        save_motion(motion_folder(self.model_path, number), self.model.motion)
        if self.exposure is not None:
            self.exposure.save(self.model_path)
        decoder = None if self.distiller is None else self.distiller.exported_decoder()
        if decoder is not None:
            decoder.save(decoder_path(self.model_path, number))

    def _checkpoint(self) -> None:
        every = self.options.train.checkpoint_every
        is_listed = self.iteration in self.options.train.checkpoint_iterations
        if is_listed or (every and self.iteration % every == 0):
            self.save_checkpoint(is_rolling=not is_listed)

    def save_checkpoint(self, is_rolling: bool) -> Path:
        """Write everything that is needed to go on as if nothing had happened; never leaves a half-written file.

        A rolling checkpoint replaces the previous rolling one.
        """
        self._watch.read(self.model)
        path = checkpoint_path(self.model_path, self.iteration)
        save_checkpoint(path, state.collect(self))
        if self.rolling_checkpoint is not None and self.rolling_checkpoint != path:
            self.rolling_checkpoint.unlink(missing_ok=True)
        self.rolling_checkpoint = path if is_rolling else None
        return path

    def _interrupted(self) -> None:
        path = self.save_checkpoint(is_rolling=True)
        say(f"interrupted after iteration {self.iteration}, saved in {path}; resume with:")
        say(f"  {resume_command(self.options.model)}")
        raise KeyboardInterrupt


def memory_in_use(device: torch.device) -> dict[str, str]:
    """The largest amount of GPU memory so far, for the progress bar; empty on the CPU."""
    if device.type != "cuda":
        return {}
    return {"memory": format_bytes(torch.cuda.max_memory_allocated(device))}


def _position_rate(options: OptimizationParams, extent: float) -> Callable[[int], float]:
    return partial(
        exponential_rate,
        start=options.position_lr_init * extent,
        end=options.position_lr_final * extent,
        max_steps=options.position_lr_max_steps,
    )
