"""training/over_layers.py, and the loop over frozen layers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from arguments import ModelParams, MotionParams, OptimizationParams, PipelineParams, SemanticParams, TrainParams
from gaussian_renderer import render
from scene.cameras import Camera
from scene.image_store import GroundTruth
from scene.layer_files import save_layers
from scene.layers import FrozenLayers
from tests.blobs import REFERENCE, blob_model, ring_cameras
from tests.layer_models import PER_BALL, ball, frozen, layered
from training.options import RunOptions
from training.over_layers import over_layers, warn_without_alpha, with_comparable_features
from training.trainer import Trainer

CAMERAS = tuple(ring_cameras(3, 24, 20))


class Pictures:
    """Renders of a model, as ground truth over the background of the render."""

    def __init__(self, model, black: bool = False):
        with torch.no_grad():
            self.outputs = [render(camera, model, settings=REFERENCE) for camera in CAMERAS]
        self.black, self.backgrounds = black, []

    def get(self, camera: Camera, background=None) -> GroundTruth:
        self.backgrounds.append(background)
        output = self.outputs[camera.uid]
        image = torch.zeros_like(output.color) if self.black else output.color
        if background is not None:
            image = image + background[:, None, None] * (1 - output.alpha)
        return GroundTruth(image.clamp(0, 1), output.alpha, None)

    def prefetch(self, camera) -> None:
        pass


@pytest.fixture
def make(tmp_path):
    """Builds a trainer of a model; flags by the name of their field."""

    def build(model, pictures=None, alpha_train=False, **optimization) -> Trainer:
        images = pictures or Pictures(blob_model(PER_BALL))
        scene = SimpleNamespace(train=CAMERAS, test=(), extent=4.0, images=images)
        options = RunOptions(
            ModelParams(source_path="memory", model_path=str(tmp_path), backend="reference", alpha_train=alpha_train),
            PipelineParams(),
            OptimizationParams(**{"iterations": 12} | optimization),
            SemanticParams(),
            MotionParams(),
            TrainParams(test_iterations=(), save_iterations=(), quiet=True),
        )
        return Trainer(options, scene, model)

    return build


@pytest.mark.parametrize("optimizer_type", ["default", "sparse_adam"])
def test_only_active_rows_are_trained_and_densified(make, optimizer_type):
    model = layered(1, (3, 0)).with_features(None)
    stored = [{name: value.clone() for name, value in layer.tensors.items()} for layer in model.layers]
    flags = {"densify_from_iter": 0, "densification_interval": 3, "densify_grad_threshold": 1e-9}
    flags |= {"inactive_purge_threshold": 1e-6}
    trainer = make(model, optimizer_type=optimizer_type, opacity_reset_interval=4, **flags)
    start = model.means.detach().clone()
    trainer.run()
    assert len(model) > PER_BALL and len(trainer.density.gradient_sum) == len(model)
    assert not torch.equal(model.means[: len(start)], start)
    for layer, before in zip(model.layers, stored, strict=True):
        assert all(torch.equal(value, before[name]) for name, value in layer.tensors.items())


def test_the_statistics_are_those_of_the_active_rows(make):
    """Gradients on the screen and visible views of the first ball alone, though it is drawn with two others."""
    model = layered(0, (0, 0)).with_features(None)
    trainer = make(model)
    trainer.iteration = 1
    trainer._iterate()
    assert trainer.density.num_seen.shape == (PER_BALL,) and 0 < trainer.density.num_seen.max() <= 1


def test_training_with_two_layers_behind_learns_the_third(make):
    """The two frozen balls are right from the start: what is left to learn is the first."""
    layers = FrozenLayers((frozen("a", ball(1)), frozen("b", ball(2))))
    active = ball(0).with_features(None).with_layers(layers)
    with torch.no_grad():
        active.params["f_dc"].mul_(0.2)
    trainer = make(active, iterations=25, feature_lr=0.1)
    first = trainer.quality(CAMERAS)["psnr"]
    trainer.run()
    assert trainer.quality(CAMERAS)["psnr"] > first + 6


def test_alpha_training_shows_black_things_on_black(make):
    """Colours alone cannot tell: their gradient is zero there."""
    change = {}
    for alpha_train, weight in ((False, 0.0), (True, 0.0), (True, 0.5)):
        model = blob_model(PER_BALL).with_features(None)
        with torch.no_grad():
            model.params["f_dc"][:] = -3.0
            model.params["opacity"][:] = -1.0
        trainer = make(model, Pictures(blob_model(PER_BALL), black=True), alpha_train, lambda_alpha=weight)
        trainer.run()
        change[alpha_train, weight] = float(model.params["opacity"].detach().mean() + 1.0)
    assert change[False, 0.0] == 0.0
    assert change[True, 0.0] > 0.1 and change[True, 0.5] > 0.1


def test_random_backgrounds_are_under_both_and_measuring_has_none(make):
    """Each iteration has another colour, the same below render and picture; views that are measured do not flicker."""
    pictures = Pictures(blob_model(PER_BALL))
    trainer = make(blob_model(PER_BALL).with_features(None), pictures, random_background=True)
    for trainer.iteration in range(1, 5):
        trainer._iterate()
    drawn = torch.stack(pictures.backgrounds)
    assert drawn.shape == (4, 3) and len(drawn.unique(dim=0)) == 4
    pictures.backgrounds.clear()
    state = torch.get_rng_state()
    assert trainer.quality(CAMERAS) == trainer.quality(CAMERAS)
    assert pictures.backgrounds == [None] * 6 and torch.equal(state, torch.get_rng_state())


def test_a_perfect_model_has_no_loss_over_any_background(make):
    trainer = make(blob_model(PER_BALL).with_features(None), random_background=True, alpha_train=True)
    trainer.iteration = 1
    assert trainer._iterate().loss.item() < 1e-3


def test_layers_come_from_the_file_unless_the_model_has_some(tmp_path, capsys):
    save_layers(tmp_path / "a.pth", ball(1), "ball")
    found = over_layers(ball(0), str(tmp_path / "a.pth"), None)
    assert [layer.name for layer in found.layers] == ["ball"] and "ball (10 Gaussians" in capsys.readouterr().out
    assert [layer.name for layer in over_layers(layered(), str(tmp_path / "a.pth"), None).layers] == ["old", "new"]
    assert not over_layers(ball(0), "", None).layers and capsys.readouterr().out.count("layers:") == 1


def test_features_of_another_meaning_are_dropped_with_a_word(capsys):
    layers = layered().layers
    same = SimpleNamespace(decoder=None, width=4)
    assert with_comparable_features(layers, same) is layers and capsys.readouterr().err == ""
    assert not with_comparable_features(layers, SimpleNamespace(decoder=object(), width=4)).drawn.features.any()
    assert "dropped" in capsys.readouterr().err
    with_comparable_features(layers, SimpleNamespace(decoder=None, width=3))
    assert "no features 3 wide" in capsys.readouterr().err


def test_alpha_training_on_opaque_pictures_is_said(capsys):
    scene = SimpleNamespace(train=CAMERAS)
    warn_without_alpha(ModelParams(), scene)
    assert capsys.readouterr().err == ""
    warn_without_alpha(ModelParams(alpha_train=True), scene)
    assert "000.png has no transparency" in capsys.readouterr().err


def test_what_an_opaque_layer_hides_is_purged(make):
    """Five Gaussians inside a frozen opaque ball never get a gradient; five beside it do."""
    shell = blob_model(60).subset(torch.arange(60)).with_features(None)
    with torch.no_grad():
        directions = torch.nn.functional.normalize(shell.means - shell.means.mean(0), dim=1)
        shell.params["xyz"][:] = 0.5 * directions
        shell.params["opacity"][:] = 9.0
        shell.params["scaling"][:] = -1.2
    active = blob_model(PER_BALL).subset(torch.arange(10)).with_features(None)
    with torch.no_grad():
        active.params["xyz"][:] = 0.02 * torch.randn(10, 3)
        active.params["xyz"][5:, 0] += 1.8
        active.params["scaling"][:] = -3.0
    trainer = make(active.with_layers(FrozenLayers((frozen("shell", shell),))), densification_interval=10)
    trainer.run()
    assert len(trainer.model) == 5 and trainer.purge.removed == 5
    assert bool((trainer.model.means[:, 0] > 1.0).all())
