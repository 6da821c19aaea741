"""training/trainer.py: the parts of the loop that the end-to-end tests do not look at."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from arguments import ModelParams, MotionParams, OptimizationParams, PipelineParams, SemanticParams, TrainParams
from gaussian_renderer import render
from scene.image_store import GroundTruth
from scene.motion.static import StaticMotion
from tests.blobs import REFERENCE, blob_model, ring_cameras
from training.options import RunOptions
from training.trainer import Trainer

NEVER = TrainParams(test_iterations=(), save_iterations=(), quiet=True)


class Pictures:
    """Renders of the model to be learnt, as ground truth."""

    def __init__(self, cameras):
        model = blob_model(per_blob=10)
        with torch.no_grad():
            outputs = {camera.uid: render(camera, model, settings=REFERENCE) for camera in cameras}
        self.truths = {uid: GroundTruth(o.color.clamp(0, 1), o.alpha, None) for uid, o in outputs.items()}

    def get(self, camera, background=None) -> GroundTruth:
        return self.truths[camera.uid]

    def prefetch(self, camera) -> None:
        pass


class Recorder(StaticMotion):
    """Moves nothing but the mean, by a parameter of its own; writes down what it is asked."""

    def __init__(self):
        self.shift = torch.nn.Parameter(torch.zeros(3))
        self.iterations = []

    def at(self, model, time):
        still = model.activated()
        return replace(still, means=still.means + self.shift)

    def parameter_groups(self):
        return [{"name": "shift", "params": [self.shift], "lr": 0.01}]

    def losses(self):
        return {"shift": self.shift.square().sum()}

    def on_iteration(self, iteration, model):
        self.iterations.append(iteration)


@pytest.fixture
def make(tmp_path):
    """Builds a trainer on three views of the blobs."""
    torch.manual_seed(0)
    cameras = tuple(ring_cameras(3, 24, 20))
    scene = SimpleNamespace(train=cameras, test=(), extent=4.0, images=Pictures(cameras))

    def build(iterations: int, motion=None, **optimization) -> Trainer:
        model = blob_model(per_blob=10).with_features(None)
        model.motion = motion or model.motion
        with torch.no_grad():
            model.params["f_dc"].mul_(0.5)
        options = RunOptions(
            ModelParams(source_path="memory", model_path=str(tmp_path), backend="reference"),
            PipelineParams(),
            OptimizationParams(iterations=iterations, **optimization),
            SemanticParams(),
            MotionParams(),
            NEVER,
        )
        return Trainer(options, scene, model)

    return build


def test_a_densifying_iteration_keeps_its_step(make):
    trainer = make(4, densify_from_iter=0, densification_interval=1, densify_grad_threshold=1e-9)
    trainer.run()
    assert trainer.model.num_gaussians > 30
    assert float(trainer.optimizer.state[trainer.model.params["xyz"]]["step"]) == 4.0


def test_the_sh_degree_rises_every_thousand_iterations(make):
    trainer = make(1001)
    trainer.model.params["f_rest"] = torch.nn.Parameter(torch.zeros(30, 3, 3))
    trainer.model.active_sh_degree = 0
    trainer.iteration = 998
    trainer._iterate()
    assert trainer.model.active_sh_degree == 0
    trainer.iteration = 1000
    trainer._iterate()
    assert trainer.model.active_sh_degree == 1


def test_a_motion_is_asked_and_its_parameters_are_trained(make):
    motion = Recorder()
    trainer = make(3, motion=motion)
    trainer.run()
    assert motion.iterations == [1, 2, 3]
    assert bool((motion.shift != 0).any())


def test_alpha_loss_is_used_when_asked(make):
    losses = []
    for weight in (0.0, 10.0):
        trainer = make(1, lambda_alpha=weight)
        with torch.no_grad():
            trainer.model.params["opacity"].fill_(-3.0)
        trainer.iteration = 1
        losses.append(trainer._iterate().loss.item())
    assert losses[1] > losses[0] + 1.0


def test_position_rate_follows_the_schedule(make):
    trainer = make(2, position_lr_max_steps=2)
    trainer.run()
    rates = {group["name"]: group["lr"] for group in trainer.optimizer.param_groups}
    assert rates["xyz"] == pytest.approx(1.6e-6 * 4.0)
    assert rates["opacity"] == 0.025


def test_a_plain_checkpoint_replaces_only_rolling_ones(make, tmp_path):
    trainer = make(9)
    for iteration, is_rolling in ((1, True), (2, False), (3, True), (4, True)):
        trainer.iteration = iteration
        trainer.save_checkpoint(is_rolling=is_rolling)
    assert sorted(path.name for path in tmp_path.glob("chkpnt*.pth")) == ["chkpnt2.pth", "chkpnt4.pth"]


def test_sparse_adam_leaves_what_a_view_does_not_see_as_it_was(make):
    trainer = make(3, optimizer_type="sparse_adam", opacity_reg=0.1, scale_reg=0.1)
    with torch.no_grad():
        trainer.model.params["xyz"][:5] = torch.tensor([0.0, 300.0, 0.0])  # in no picture
    before = {name: value.detach().clone() for name, value in trainer.model.params.items()}
    trainer.run()
    for name, value in trainer.model.params.items():
        assert torch.equal(value[:5], before[name][:5]), name
        moments = trainer.optimizer.state.get(value)
        assert not moments or not (moments["exp_avg"][:5].any() or moments["exp_avg_sq"][:5].any())
    assert not torch.equal(trainer.model.params["opacity"][5:], before["opacity"][5:])


def test_regularisers_enter_the_loss_with_their_weights(make):
    plain, asked = make(1), make(1, opacity_reg=0.5)
    opacity = float(plain.model.params["opacity"].detach().sigmoid().mean())
    for trainer in (plain, asked):
        trainer.order.remaining = [0]
    plain.iteration = asked.iteration = 1
    assert float(asked._iterate().loss) == pytest.approx(float(plain._iterate().loss) + 0.5 * opacity, rel=1e-4)


def test_an_observer_looks_after_each_iteration(make):
    trainer, seen = make(3), []

    class Observer:
        def between_iterations(self, stop):
            seen.append((trainer.iteration, dict(trainer.figures), stop.requested))

    trainer.observer = Observer()
    trainer.run()
    assert [iteration for iteration, _, _ in seen] == list(range(1, trainer.total + 1))
    assert {"loss", "psnr", "count"} <= set(seen[-1][1]) and not seen[-1][2]
