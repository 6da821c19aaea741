"""training/distillation.py"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from arguments import SemanticParams
from gaussian_renderer import render
from tests.blobs import REFERENCE, blob_model, ring_cameras
from training.distillation import Distiller, DistillPlan, latent_width

CPU = torch.device("cpu")


class Maps:
    """Teacher maps held in a dictionary; counts how often each is read."""

    def __init__(self, maps: dict[str, torch.Tensor], dim: int):
        self.maps, self.dim, self.reads = maps, dim, 0

    def has(self, image_name: str) -> bool:
        return image_name in self.maps

    def get(self, image_name: str) -> torch.Tensor:
        self.reads += 1
        return self.maps[image_name]


def camera(name: str = "a.png") -> SimpleNamespace:
    return SimpleNamespace(image_name=name, width=16, height=12)


def make(dim: int = 8, **options) -> tuple[Distiller, Maps]:
    maps = Maps({"a.png": torch.rand(dim, 5, 7)}, dim)
    semantic = SemanticParams(foundation_model="x", **({"distill": "sgd"} | options))
    return Distiller(maps, semantic, DistillPlan.from_options(semantic, 100), CPU), maps


@pytest.mark.parametrize(
    ("options", "width"),
    [
        ({}, 512),
        ({"speedup": True}, 128),
        ({"speedup": True, "speedup_ratio": 2}, 256),
        ({"semantic_dimension": 33}, 33),
    ],
)
def test_width(options, width):
    assert latent_width(512, SemanticParams(**options)) == width


@pytest.mark.parametrize("width", [-1, 513])
def test_impossible_width(width):
    with pytest.raises(ValueError, match="teacher has 512 channels"):
        latent_width(512, SemanticParams(semantic_dimension=width))


def test_a_decoder_exists_only_for_narrow_features():
    assert make()[0].decoder is None
    decoder = make(semantic_dimension=3)[0].decoder
    assert (decoder.feature_dim, decoder.teacher_dim) == (3, 8)


def test_a_student_that_equals_the_teacher_has_no_loss():
    distiller, maps = make()
    exact = maps.maps["a.png"].half().float()
    assert float(distiller.loss(exact, camera())) == 0.0


def test_the_student_is_resized_with_aligned_corners_then_decoded():
    distiller, maps = make(semantic_dimension=3)
    student = torch.rand(3, 12, 16)
    resized = torch.nn.functional.interpolate(student[None], size=(5, 7), mode="bilinear", align_corners=True)[0]
    expected = (distiller.decoder(resized) - maps.maps["a.png"].half().float()).abs().mean()
    torch.testing.assert_close(distiller.loss(student, camera()), expected)
    torch.testing.assert_close(resized[:, 0, 0], student[:, 0, 0])


def test_the_decoder_learns():
    distiller, maps = make(semantic_dimension=3, semantic_loss="l2")
    student = torch.rand(3, 5, 7)
    losses = []
    for _ in range(20):
        loss = distiller.loss(student, camera())
        loss.backward()
        distiller.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_feature_resolution():
    assert make()[0].feature_size(camera()) is None
    assert make(feature_res="teacher")[0].feature_size(camera()) == (5, 7)


def test_features_wait_for_their_start_and_need_a_map():
    distiller, _ = make(semantic_start=5)
    assert not distiller.is_active(camera(), 4) and distiller.is_active(camera(), 5)
    assert not distiller.is_active(camera("b.png"), 5)


@pytest.mark.parametrize("loss", ["l1", "l2", "cosine"])
@pytest.mark.parametrize("width", [8, 3])
def test_the_sampled_loss_is_the_loss_of_the_rendered_map(loss, width):
    """Value and gradients of features and decoder; the geometry has none."""
    results = []
    for way in ("rendered", "sampled"):
        torch.manual_seed(0)
        distiller, _ = make(semantic_dimension=width, semantic_loss=loss)
        view = ring_cameras(1, 16, 12)[0]
        view = replace(view, image_name="a.png")
        model = blob_model(per_blob=5, feature_dim=width)
        if way == "rendered":
            value = distiller.loss(render(view, model, settings=REFERENCE).features, view)
        else:
            value = distiller.sampled_loss(model, view, REFERENCE)
        value.backward()
        leaves = [model.features, *([] if distiller.decoder is None else distiller.decoder.parameters())]
        results.append([value.detach(), *(leaf.grad for leaf in leaves)])
        assert model.params["xyz"].grad is None or not model.params["xyz"].grad.any()
    torch.testing.assert_close(results[0], results[1])


def test_sampling_needs_an_operator_and_the_image_grid(monkeypatch):
    model = blob_model(per_blob=2)
    assert not make()[0].samples(model, "reference")
    monkeypatch.setattr("ndraster.can_sample", lambda name: True)
    assert make()[0].samples(model, "reference")
    assert not make(feature_res="teacher")[0].samples(model, "reference")
    assert not make(semantic_geometry_grad=True)[0].samples(model, "reference")  # densification needs the view


def plan(**options) -> DistillPlan:
    return DistillPlan.from_options(SemanticParams(**options), 1000)


@pytest.mark.parametrize(
    ("options", "trains", "lifts", "lifts_when_saved"),
    [
        ({"distill": "sgd"}, range(0, 1001), [], []),
        ({"distill": "sgd", "semantic_start": 7}, range(7, 1001), [], []),
        ({"distill": "lift"}, [], [], range(1001)),
        ({"distill": "lift+sgd"}, range(501, 1001), [500], range(501)),
        ({"distill": "lift+sgd", "lift_iteration": 300}, range(301, 1001), [300], range(301)),
        ({"distill": "lift+sgd", "lift_iteration": 1200}, [], [], range(1001)),
        ({"distill": "lift+sgd", "semantic_start": 950}, range(950, 1001), [500], range(501)),
    ],
)
def test_when_features_are_lifted_and_trained(options, trains, lifts, lifts_when_saved):
    given, steps = plan(**options), range(1001)
    assert [i for i in steps if given.trains_at(i)] == list(trains)
    assert [i for i in steps if given.lifts_at(i, is_saved=False)] == list(lifts)
    assert [i for i in steps if given.lifts_at(i, is_saved=True)] == list(lifts_when_saved)


def test_the_lift_comes_halfway_but_never_before_the_first_step():
    given = SemanticParams(distill="lift+sgd")
    assert [DistillPlan.from_options(given, n).lift_at for n in (1, 2, 9, 30_000)] == [1, 1, 5, 15_000]


def test_coverage():
    distiller, _ = make()
    assert distiller.check_coverage((camera(), camera("b.png"))) == 1
    with pytest.raises(ValueError, match=r"no map for any .* b\.png"):
        distiller.check_coverage((camera("b.png"),))


def test_maps_are_read_once():
    distiller, maps = make(feature_res="teacher")
    for _ in range(3):
        distiller.feature_size(camera())
        distiller.loss(torch.rand(8, 5, 7), camera())
    assert maps.reads == 1


@pytest.mark.parametrize("bad", [torch.rand(7, 5, 7), torch.rand(8, 5), torch.full((8, 5, 7), float("nan"))])
def test_broken_maps_are_named(bad):
    distiller, maps = make()
    maps.maps["a.png"] = bad
    with pytest.raises(ValueError, match=r"teacher map of a\.png"):
        distiller.loss(torch.rand(8, 5, 7), camera())


def test_state_round_trip_and_mismatch():
    distiller, _ = make(semantic_dimension=3)
    distiller.loss(torch.rand(3, 5, 7), camera()).backward()
    distiller.step()
    state = distiller.state_dict()
    other, _ = make(semantic_dimension=3)
    other.load_state_dict(state)
    torch.testing.assert_close(other.decoder.state_dict(), distiller.decoder.state_dict())
    with pytest.raises(ValueError, match="decoder"):
        make()[0].load_state_dict(state)
