"""training/frozen_trainer.py"""

from types import SimpleNamespace

import pytest
import torch

from arguments import ModelParams, MotionParams, OptimizationParams, PipelineParams, SemanticParams, TrainParams
from gaussian_renderer import render
from scene.formats.ply import read_ply
from tests.blobs import REFERENCE, blob_model, ring_cameras
from training.distillation import DistillPlan
from training.features import FeatureDistiller
from training.frozen_trainer import FrozenTrainer
from training.options import RunOptions


class Maps:
    """What the balls' own features look like from all views but the last."""

    dim = 4

    def __init__(self, cameras):
        with torch.no_grad():
            views = {c.image_name: render(c, blob_model(10), settings=REFERENCE).features for c in cameras[:-1]}
        self.maps = views

    def has(self, image_name):
        return image_name in self.maps

    def get(self, image_name):
        return self.maps[image_name]

    def placement(self, image_name):
        return None


class NoPictures:
    """Fails when a photo is asked for."""

    def __getattr__(self, name):
        raise AssertionError(f"photos are not needed, but {name} was asked for")


@pytest.fixture
def make(tmp_path):
    """Builds a trainer of features on the finished balls; options that would densify, prune and reset at once."""
    cameras = tuple(ring_cameras(4, 24, 20))
    scene = SimpleNamespace(train=cameras, test=cameras[:1], extent=4.0, images=NoPictures())

    def build(iterations: int = 6, **semantic) -> FrozenTrainer:
        torch.manual_seed(0)
        options = RunOptions(
            ModelParams(source_path="memory", model_path=str(tmp_path), backend="reference"),
            PipelineParams(),
            OptimizationParams(
                iterations=iterations, densify_from_iter=0, densification_interval=1, opacity_reset_interval=1
            ),
            SemanticParams(foundation_model="x", **semantic),
            MotionParams(),
            TrainParams(test_iterations=(2,), save_iterations=(), quiet=True, freeze_geometry=True),
        )
        plan = DistillPlan.at_once(options.semantic)
        distiller = FeatureDistiller(Maps(cameras), options.semantic, plan, torch.device("cpu"))
        model = blob_model(10).with_features(torch.zeros(30, distiller.width))
        return FrozenTrainer(options, scene, model, distiller)

    return build


@pytest.mark.parametrize("resolution", ["image", "teacher"])
@pytest.mark.parametrize("mode", ["lift", "sgd", "lift+sgd"])
def test_only_features_change(make, tmp_path, mode, resolution):
    trainer = make(distill=mode, feature_res=resolution)
    trainer.run()
    last = 1 if mode == "lift" else 6
    saved = read_ply(tmp_path / f"point_cloud/iteration_{last}/point_cloud.ply").named()
    before = blob_model(10).to_arrays().named()
    assert saved.pop("semantic_feature").any() and before.pop("semantic_feature").any()
    assert all((saved[name] == before[name]).all() for name in before)
    assert trainer.iteration == last


def test_the_decoder_is_trained_too(make):
    trainer = make(distill="sgd", semantic_dimension=2)
    before = trainer.distiller.decoder.linear.weight.detach().clone()
    trainer.run()
    assert bool((trainer.distiller.decoder.linear.weight != before).any())


def test_sgd_goes_on_from_the_lift(make):
    lifted = make(distill="lift")
    lifted.run()
    both = make(iterations=1, distill="lift+sgd")
    both.run()
    difference = (both.model.features - lifted.model.features).abs()
    assert 0 < difference.max().item() <= 0.0011  # one step of Adam at 0.001


def test_views_without_a_map_are_never_drawn(make):
    trainer = make(distill="sgd")
    assert [camera.image_name for camera in trainer.views] == ["000.png", "001.png", "002.png"]
    assert trainer.order.num_cameras == 3


def test_the_weight_of_the_loss_does_not_matter(make):
    """Adam is scale-free: ten times the weight leaves the features as they are, to rounding (semantic, C 6)."""
    results = []
    for weight in (1.0, 10.0):
        trainer = make(iterations=24, distill="sgd", loss_reduce=weight, semantic_feature_lr=0.02)
        trainer.order.remaining = [0, 1, 2] * 9  # the same views in both
        trainer.run()
        results.append(trainer.model.features.detach())
    assert float(results[0].abs().max()) > 0.1
    cosine = torch.cosine_similarity(results[0], results[1], dim=1)
    assert float(cosine[results[0].norm(dim=1) > 0.05].min()) > 0.9999
