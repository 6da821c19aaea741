"""training/features.py"""

from dataclasses import replace

import pytest
import torch

from arguments import SemanticParams
from encoders.base import Placement
from encoders.record import TeacherRecord
from gaussian_renderer import render
from scene.cameras import Camera
from tests.blobs import REFERENCE, blob_model, ring_cameras
from training.distillation import DistillPlan
from training.features import FeatureDistiller, latent_width

CPU = torch.device("cpu")


class Maps:
    """Teacher maps held in a dictionary; counts how often each is read."""

    def __init__(self, maps: dict[str, torch.Tensor], dim: int):
        self.maps, self.dim, self.reads = maps, dim, 0
        self.placed: Placement | None = None

    def has(self, image_name: str) -> bool:
        return image_name in self.maps

    def get(self, image_name: str) -> torch.Tensor:
        self.reads += 1
        return self.maps[image_name]

    def placement(self, image_name: str) -> Placement | None:
        return self.placed


def camera(name: str = "a.png") -> Camera:
    return replace(ring_cameras(1, 16, 12)[0], image_name=name)


def make(dim: int = 8, **options) -> tuple[FeatureDistiller, Maps]:
    maps = Maps({"a.png": torch.rand(dim, 5, 7)}, dim)
    return distiller_of(maps, **options), maps


def distiller_of(maps: Maps, **options) -> FeatureDistiller:
    semantic = SemanticParams(foundation_model="x", **({"distill": "sgd"} | options))
    return FeatureDistiller(maps, semantic, DistillPlan.from_options(semantic, 100), CPU)


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


def test_width_of_compressed_maps():
    """The ratio is that of the teacher's own channels, but there is no more to learn than the maps have."""
    assert latent_width(512, SemanticParams(), 64) == 64
    assert latent_width(512, SemanticParams(speedup=True), 64) == 64
    assert latent_width(512, SemanticParams(speedup=True), 256) == 128
    with pytest.raises(ValueError, match="teacher has 64 channels"):
        latent_width(512, SemanticParams(semantic_dimension=65), 64)


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


def test_the_student_is_read_where_the_cells_lie():
    """A map of the left half of the image is compared with the left half of the student."""
    distiller, maps = make()
    maps.placed = Placement(0.25 / 8, 0.5 / 8, 0.5 / 12, 1 / 12)
    student = torch.rand(8, 12, 16)
    maps.maps["a.png"] = student[:, :, :8].half()
    assert float(distiller.loss(student, camera())) < 1e-3
    maps.placed = None
    assert float(distiller.loss(student, camera())) > 0.1


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
        view = camera()
        model = blob_model(per_blob=5, feature_dim=width)
        if way == "rendered":
            value = distiller.loss(render(view, model, settings=REFERENCE).features, view)
        else:
            value = distiller.loss_alone(model, view, REFERENCE)
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


@pytest.mark.parametrize("width", [0, 3])
def test_what_is_saved_leads_to_the_teachers_own_channels(width):
    """Maps in 5 of 9 channels: the decoder goes all the way, the checkpoint keeps what is trained."""
    maps = Maps({"a.png": torch.rand(5, 4, 6)}, 5)
    maps.basis = torch.linalg.qr(torch.randn(9, 5))[0]
    distiller = distiller_of(maps, semantic_dimension=width)
    whole = distiller.exported_decoder()
    rows = torch.rand(11, distiller.width)
    short = rows if distiller.decoder is None else distiller.decoder(rows)
    torch.testing.assert_close(whole(rows), short @ maps.basis.T)
    assert distiller.record.dim == 9 and distiller.width == (width or 5)
    if width:
        assert distiller.state_dict()["decoder"]["linear.weight"].shape == (5, 3)


def test_the_record_names_the_teacher(tmp_path):
    distiller, maps = make(semantic_dimension=3)
    distiller.write_description(tmp_path)
    assert TeacherRecord.load(tmp_path, "", 0) == TeacherRecord("x", 8)
    maps.record_options = {"model": "vitb14"}
    distiller_of(maps).write_description(tmp_path)
    assert TeacherRecord.load(tmp_path, "", 0).options == {"model": "vitb14"}


def test_the_loss_alone_at_the_teachers_size_is_that_of_a_view_of_that_size():
    distiller, maps = make(feature_res="teacher")
    model, view = blob_model(per_blob=5, feature_dim=8), camera()
    output = render(view, model, settings=replace(REFERENCE, feature_size=(5, 7)))
    torch.testing.assert_close(distiller.loss_alone(model, view, REFERENCE), distiller.loss(output.features, view))
