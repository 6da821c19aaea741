"""training/lifting.py"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from arguments import SemanticParams
from gaussian_renderer import render
from scene.motion.static import StaticMotion
from tests.blobs import REFERENCE, blob_labels, blob_model, ring_cameras
from training.distillation import DistillPlan
from training.features import FeatureDistiller
from training.lifting import PrincipalAxes, lift_features, lift_if_missed, lift_views, start_without_lift
from training.optimizers import build_optimizer

CHANNELS, PER_BLOB = 6, 10


class Maps:
    """Teacher maps in a dictionary."""

    def __init__(self, maps: dict[str, torch.Tensor]):
        self.maps, self.dim = maps, CHANNELS

    def has(self, image_name: str) -> bool:
        return image_name in self.maps

    def get(self, image_name: str) -> torch.Tensor:
        return self.maps[image_name]

    def placement(self, image_name: str) -> None:
        return None


def true_vectors() -> torch.Tensor:
    """[N, C] feature of each Gaussian, one vector per ball."""
    return torch.randn(3, CHANNELS, generator=torch.Generator().manual_seed(2))[blob_labels(PER_BLOB)]


def perfect_maps(cameras) -> dict[str, torch.Tensor]:
    """What the true vectors look like from the cameras, on a half-size grid."""
    model = blob_model(PER_BLOB)
    with torch.no_grad():
        images = {c.image_name: render(c, model, settings=REFERENCE, features=true_vectors()) for c in cameras}
    return {
        name: torch.nn.functional.interpolate(o.features[None], scale_factor=0.5, mode="area")[0]
        for name, o in images.items()
    }


@pytest.fixture
def make():
    """Builds what `lift_features` needs of a trainer, on four views, the last of them without a map."""

    def build(width: int = CHANNELS, iteration: int = 50, **options) -> SimpleNamespace:
        torch.manual_seed(0)
        cameras = ring_cameras(4, 24, 20)
        semantic = SemanticParams(foundation_model="x", semantic_dimension=width, **options)
        plan = DistillPlan.from_options(semantic, 100)
        distiller = FeatureDistiller(Maps(perfect_maps(cameras[:3])), semantic, plan, torch.device("cpu"))
        model = blob_model(PER_BLOB).with_features(torch.zeros(3 * PER_BLOB, width))
        groups = [{"name": name, "params": [p], "lr": 0.1} for name, p in model.params.items()]
        optimizer = build_optimizer("default", groups)
        return SimpleNamespace(
            distiller=distiller,
            model=model,
            optimizer=optimizer,
            iteration=iteration,
            settings=REFERENCE,
            scene=SimpleNamespace(train=tuple(cameras)),
        )

    return build


def cosine_to_truth(features: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    return torch.cosine_similarity(features, true_vectors(), dim=1)[seen]


def test_features_come_near_the_truth_and_the_log_says_so(make, capsys):
    trainer = make()
    lift_features(trainer)
    features = trainer.model.features.detach()
    seen = features.any(1)
    assert cosine_to_truth(features, seen).mean() > 0.9 and seen.float().mean() > 0.8
    text = capsys.readouterr().out
    assert f"iteration 50: features of 3 views lifted into {int(seen.sum())} of {3 * PER_BLOB} Gaussians in" in text


def test_moments_that_are_not_known_yet_are_left_out(make, capsys):
    class Early(StaticMotion):
        """Nothing has been tracked beyond the first moment."""

        def knows(self, time):
            return time == 0

    trainer = make()
    trainer.model.motion = Early()
    trainer.scene.train = (trainer.scene.train[0], *(replace(camera, time=1.0) for camera in trainer.scene.train[1:]))
    lift_features(trainer)
    assert "features of 1 views lifted" in capsys.readouterr().out


@pytest.mark.parametrize("width", [2, 3, 5])
def test_a_decoder_gets_the_principal_axes(make, width):
    """Lifting the projected maps and decoding is lifting the maps and projecting: exact where the width suffices."""
    whole, narrow = make(), make(width)
    lift_features(whole)
    lift_features(narrow)
    decoder, seen = narrow.distiller.decoder, whole.model.features.any(1)
    weight = decoder.linear.weight.detach()
    scale = weight[:, 0].norm()
    torch.testing.assert_close(weight.T @ weight, scale**2 * torch.eye(width), atol=1e-5, rtol=1e-5)
    sizes = [narrow.model.features[seen].square().mean(), whole.model.features[seen].square().mean()]
    assert 0.2 < sizes[0] / sizes[1] < 5  # one learning rate suits both
    axes = weight / scale
    centred = whole.model.features.detach() - decoder.linear.bias
    expected = centred @ axes @ axes.T + decoder.linear.bias
    decoded = decoder(narrow.model.features)
    torch.testing.assert_close(decoded[seen], expected[seen], atol=2e-3, rtol=0)
    if width >= 3:  # three vectors and black span three dimensions
        torch.testing.assert_close(decoded[seen], whole.model.features[seen], atol=2e-2, rtol=0)


def test_the_optimizers_start_anew(make):
    trainer = make(3)
    features, colours = trainer.model.params["semantic_feature"], trainer.model.params["f_dc"]
    for parameter in (features, colours, *trainer.distiller.decoder.parameters()):
        parameter.grad = torch.ones_like(parameter)
    trainer.optimizer.step()
    trainer.distiller.step()
    lift_features(trainer)
    assert trainer.model.params["semantic_feature"] is features and isinstance(features, nn.Parameter)
    assert features not in trainer.optimizer.state and colours in trainer.optimizer.state
    assert not trainer.distiller.decoder_optimizer.state
    features.grad = torch.ones_like(features)
    before = features.detach().clone()
    trainer.optimizer.step()  # the first step of Adam is the learning rate
    torch.testing.assert_close(before - features, torch.full_like(features, 0.1))


def test_moving_gaussians_are_lifted_where_they_are():
    class Late(StaticMotion):
        """Everything has left the view at time 1."""

        def at(self, model, time):
            still = model.activated()
            return replace(still, means=still.means + 100.0 * time)

    now, later = ring_cameras(2, 24, 20)
    cameras = [now, replace(later, time=1.0)]
    maps = perfect_maps(cameras)
    model = blob_model(PER_BLOB)
    model.motion = Late()
    moved = lift_views(model, cameras, lambda c: maps[c.image_name], CHANNELS, REFERENCE)
    first = lift_views(blob_model(PER_BLOB), cameras[:1], lambda c: maps[c.image_name], CHANNELS, REFERENCE)
    torch.testing.assert_close(moved.weights, first.weights)
    torch.testing.assert_close(moved.features, first.features)


def test_principal_axes_are_those_of_all_pixels():
    cameras = ring_cameras(3, 24, 20)
    maps = perfect_maps(cameras)
    found = PrincipalAxes.of(cameras, lambda c: maps[c.image_name], 2)
    mean, axes = found.mean, found.axes
    pixels = torch.cat([rows.flatten(1) for rows in maps.values()], dim=1)
    torch.testing.assert_close(mean, pixels.mean(1), atol=1e-5, rtol=0)
    right = torch.linalg.svd(pixels - mean[:, None], full_matrices=False)[0][:, :2]
    torch.testing.assert_close((axes.T @ right).abs(), torch.eye(2), atol=1e-3, rtol=0)
    coordinates = found.of_map(maps[cameras[0].image_name])
    written_out = axes.T @ (maps[cameras[0].image_name].flatten(1) - mean[:, None]) / found.spread
    torch.testing.assert_close(coordinates.flatten(1), written_out, atol=1e-4, rtol=0)


def test_training_without_a_lift_begins_with_the_axes_too(make):
    trainer, lifted = make(3), make(3)
    trainer.distiller.plan = replace(trainer.distiller.plan, mode="sgd")
    start_without_lift(trainer)
    lift_features(lifted)
    torch.testing.assert_close(trainer.distiller.decoder.linear.weight, lifted.distiller.decoder.linear.weight)
    assert not trainer.model.features.any()


@pytest.mark.parametrize(
    ("options", "iteration", "lifts"),
    [
        ({"distill": "lift+sgd", "lift_iteration": 50}, 50, True),
        ({"distill": "lift+sgd", "lift_iteration": 50}, 49, False),
        ({"distill": "sgd"}, 99, False),
        ({"distill": "lift"}, 99, False),
    ],
)
def test_a_missed_lift_is_made_up_for(make, options, iteration, lifts):
    trainer = make(iteration=iteration, **options)
    lift_if_missed(trainer)
    assert bool(trainer.model.features.any()) == lifts
    with torch.no_grad():
        trainer.model.features.fill_(7.0)
    lift_if_missed(trainer)
    assert bool((trainer.model.features == 7.0).all())


def test_nothing_to_lift_without_a_teacher():
    lift_if_missed(SimpleNamespace(distiller=None))
