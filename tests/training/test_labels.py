"""training/labels.py"""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from arguments import SemanticParams
from gaussian_renderer import render
from gaussian_renderer.trained import read_classes
from scene.cameras import Camera
from tests.blobs import REFERENCE, blob_labels, blob_model, ring_cameras
from training.distillation import DistillPlan
from training.labels import LabelDistiller, label_loss, logits_of_shares
from training.lifting import lift_features
from training.optimizers import build_optimizer

CPU = torch.device("cpu")
NAMES = ("nothing", "red", "green", "blue")
PER_BLOB = 10


class Maps:
    """Label maps in a dictionary."""

    def __init__(self, maps: dict[str, torch.Tensor], classes=NAMES):
        self.maps, self.classes = maps, classes

    def has(self, image_name: str) -> bool:
        return image_name in self.maps

    def get(self, image_name: str) -> torch.Tensor:
        return self.maps[image_name]


def view(width: int = 6, height: int = 4) -> Camera:
    return ring_cameras(1, width, height)[0]


def distiller_of(labels: torch.Tensor, classes=NAMES, **options) -> LabelDistiller:
    semantic = SemanticParams(foundation_model="label", **options)
    maps = Maps({"000.png": labels}, classes)
    return LabelDistiller(maps, semantic, DistillPlan.from_options(semantic, 100), CPU)


def true_labels(cameras) -> dict[str, torch.Tensor]:
    """What the balls look like: k + 1 = ball k; no label beside them."""
    maps, shares = {}, torch.eye(3)[blob_labels(PER_BLOB)]
    for camera in cameras:
        with torch.no_grad():
            output = render(camera, blob_model(PER_BLOB), settings=REFERENCE, features=shares)
        maps[camera.image_name] = torch.where(output.alpha[0] > 0.5, output.features.argmax(0) + 1, -1)
    return maps


@pytest.mark.parametrize(
    ("kind", "scores", "expected"),
    [
        ("ce", (10.0, 0.0, 0.0), 9.1e-5),
        ("ce_compat", (10.0, 0.0, 0.0), 0.5515),  # semantic, appendix C 12
        ("nll_prob", (0.5, 0.3, 0.1), math.log(2)),
    ],
)
def test_values_for_three_classes(kind, scores, expected):
    value = label_loss(torch.tensor(scores)[:, None, None], torch.zeros(1, 1, dtype=torch.long), kind)
    assert float(value) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("kind", ["ce", "ce_compat", "nll_prob"])
def test_pixels_without_label_do_not_count(kind):
    scores = torch.rand(4, 3, 5, requires_grad=True)
    labels = torch.randint(0, 4, (3, 5))
    whole = label_loss(scores[:, :, :2], labels[:, :2], kind)
    labels[:, 2:] = -1
    partly = label_loss(scores, labels, kind)
    torch.testing.assert_close(partly, whole)
    partly.backward()
    assert scores.grad[:, :, :2].any() and not scores.grad[:, :, 2:].any()


@pytest.mark.parametrize("kind", ["ce", "ce_compat", "nll_prob"])
def test_a_map_without_any_label_has_no_loss(kind):
    scores = torch.rand(4, 3, 5, requires_grad=True)
    value = label_loss(scores, torch.full((3, 5), -1), kind)
    value.backward()
    assert value.item() == 0.0 and not scores.grad.any()


def test_the_loss_is_the_mean_over_single_pixels():
    scores, labels = torch.randn(3, 2, 4, dtype=torch.float64), torch.randint(0, 3, (2, 4))
    each = [-math.log(scores[:, i, j].softmax(0)[labels[i, j]]) for i in range(2) for j in range(4)]
    assert float(label_loss(scores, labels)) == pytest.approx(sum(each) / 8)


@pytest.mark.parametrize("count", [4, 255, 256, 400])
def test_labels_are_kept_small_and_come_back(count):
    labels = torch.randint(-1, count, (4, 6))
    labels[0, :3] = torch.tensor([-1, count - 1, 0])
    distiller = distiller_of(labels, tuple(map(str, range(count))))
    assert torch.equal(distiller.labels(view()), labels)
    assert distiller._maps.kept_bytes == 24 * (1 if count <= 255 else 2)
    hot = distiller.teacher(view())
    assert torch.equal(hot.sum(0), (labels >= 0).half())
    assert torch.equal(hot.argmax(0)[labels >= 0], labels[labels >= 0])


def test_labels_finer_than_the_image_are_resized_to_it_nearest():
    labels = torch.arange(4).repeat_interleave(3)[None].repeat(8, 1)  # [8, 12], image 6x4
    shown = distiller_of(labels).labels(view())
    assert shown.shape == (4, 6) and torch.equal(shown, labels[1::2, 1::2])


def test_coarse_labels_are_compared_at_their_cells():
    """A student that is right at the centres of 2x3 cells of the image has no loss beyond its own softness."""
    labels = torch.tensor([[0, 1, 2], [2, 3, 1]])
    distiller = distiller_of(labels)
    student = 20.0 * torch.nn.functional.one_hot(labels, 4).permute(2, 0, 1).float()
    student = student.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert distiller.map_size(view()) == (2, 3)
    assert float(distiller.loss(student, view())) < 1e-6


def test_shares_become_logits():
    shares = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.2, 0.0]])
    logits = logits_of_shares(shares)
    torch.testing.assert_close(logits.mean(1), torch.zeros(3), atol=1e-6, rtol=0)
    assert not logits[1].any()
    torch.testing.assert_close(logits[0].softmax(0), torch.tensor([0.85, 0.35, 0.1]) / 1.3)
    torch.testing.assert_close(logits[2].softmax(0), torch.tensor([0.1, 1.1, 0.1]) / 1.3)
    assert bool(torch.isfinite(logits).all())


def trainer_of(distiller: LabelDistiller, cameras) -> SimpleNamespace:
    """What `lift_features` needs of a trainer."""
    model = blob_model(PER_BLOB).with_features(torch.zeros(3 * PER_BLOB, 4))
    optimizer = build_optimizer("default", [{"name": n, "params": [p], "lr": 0.1} for n, p in model.params.items()])
    scene = SimpleNamespace(train=tuple(cameras))
    return SimpleNamespace(
        distiller=distiller, model=model, optimizer=optimizer, iteration=1, settings=REFERENCE, scene=scene
    )


def blob_distiller(cameras, **options) -> LabelDistiller:
    semantic = SemanticParams(foundation_model="label", **options)
    return LabelDistiller(Maps(true_labels(cameras)), semantic, DistillPlan.from_options(semantic, 100), CPU)


def test_lifted_labels_are_right_in_other_views():
    cameras = ring_cameras(4, 24, 20)
    distiller = blob_distiller(cameras)
    trainer = trainer_of(distiller, cameras[1:])
    before = distiller.quality(trainer.model, cameras[:1], REFERENCE)
    lift_features(trainer)
    after = distiller.quality(trainer.model, cameras[:1], REFERENCE)
    assert after["label_accuracy"] > max(0.9, before["label_accuracy"])
    assert bool((trainer.model.features.argmax(1) - 1 == blob_labels(PER_BLOB)).float().mean() > 0.9)


@pytest.mark.parametrize("kind", ["ce", "ce_compat", "nll_prob"])
def test_logits_are_learnt_by_every_loss(kind):
    cameras = ring_cameras(3, 24, 20)
    distiller = blob_distiller(cameras, label_loss=kind)
    model = blob_model(PER_BLOB).with_features(torch.zeros(3 * PER_BLOB, 4))
    optimizer = torch.optim.Adam([model.features], lr=0.3)
    for step in range(15):
        optimizer.zero_grad()
        distiller.loss_alone(model, cameras[step % 3], REFERENCE).backward()
        optimizer.step()
    assert distiller.quality(model, cameras, REFERENCE)["label_accuracy"] > 0.9
    assert model.params["xyz"].grad is None


@pytest.mark.parametrize("kind", ["ce", "nll_prob"])
def test_the_loss_alone_is_the_loss_of_the_rendered_map(kind):
    camera = ring_cameras(1, 24, 20)[0]
    distiller, model = blob_distiller([camera], label_loss=kind), blob_model(PER_BLOB)
    rows = distiller.splatted(model.features)
    rendered = render(camera, model, settings=REFERENCE, features=rows).features
    alone = distiller.loss_alone(model, camera, REFERENCE)
    torch.testing.assert_close(alone, distiller.loss(rendered, camera))


def test_accuracy_counts_labelled_pixels_of_views_with_maps():
    camera = ring_cameras(1, 24, 20)[0]
    labels = torch.zeros(20, 24, dtype=torch.long)
    labels[:, :12], labels[0] = 1, -1
    model = blob_model(PER_BLOB).with_features(torch.tensor([1.0, 0, 0, 0]).repeat(3 * PER_BLOB, 1))
    distiller = distiller_of(labels)
    other = replace(camera, image_name="other.png")
    found = distiller.quality(model, [camera, other], REFERENCE)["label_accuracy"]
    assert found == pytest.approx(0.5, abs=0.01)  # where nothing is blended the first class wins
    assert distiller.quality(model, [other], REFERENCE) == {}


def test_class_names_are_written_in_channel_order(tmp_path):
    distiller_of(torch.zeros(4, 6, dtype=torch.long)).write_description(tmp_path)
    assert read_classes(tmp_path, 4) == NAMES
