"""training/exposure.py"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from arguments import OptimizationParams
from gaussian_renderer import render
from scene.exposure import Exposures, exposed, identity
from tests.blobs import REFERENCE, blob_model, ring_cameras
from training.exposure import ExposureLearner
from utils.errors import UserError
from utils.schedules import exponential_rate

OPTIONS = OptimizationParams(iterations=200)
TRUE = torch.tensor([[0.8, 0.0, 0.0, 0.03], [0.0, 1.1, 0.0, 0.0], [0.05, 0.0, 0.9, -0.02]])


def learner(names=("a.png", "b.png"), is_anchored=False, options=OPTIONS) -> ExposureLearner:
    return ExposureLearner(names, options, is_anchored, torch.device("cpu"))


@pytest.fixture(scope="module")
def output():
    with torch.no_grad():
        return render(ring_cameras(1, 24, 20)[0], blob_model(per_blob=10), settings=REFERENCE)


def camera(name: str, row: torch.Tensor | None = None) -> SimpleNamespace:
    return SimpleNamespace(image_name=name, row=row)


def test_only_pictures_of_the_training_are_changed(output):
    ours = learner()
    assert ours.applied(output, camera("c.png"), None) is output
    torch.testing.assert_close(ours.applied(output, camera("a.png"), None).color, output.color)


def test_a_row_on_the_device_is_the_same_as_the_name(output):
    ours = learner()
    with torch.no_grad():
        ours.matrices[1] = TRUE
    by_row = ours.applied(output, camera("any", torch.tensor([1])), None).color
    assert torch.equal(by_row, ours.applied(output, camera("b.png"), None).color)
    torch.testing.assert_close(by_row, exposed(output.color, output.alpha, TRUE))


def fit(ours: ExposureLearner, output, first: int = 1, last: int = 200) -> None:
    """Picture b was taken with `TRUE`, picture a as it is."""
    targets = {"a.png": output.color, "b.png": exposed(output.color, output.alpha, TRUE)}
    for iteration in range(first, last + 1):
        name = "ab"[iteration % 2] + ".png"
        ours.prepare(iteration)
        (ours.applied(output, camera(name), None).color - targets[name]).abs().mean().backward()
        ours.step()


def test_an_exposure_is_found(output):
    ours = learner()
    fit(ours, output)
    colors = [ours.applied(output, camera("b.png"), None).color, exposed(output.color, output.alpha, TRUE)]
    error, before = ((color.detach() - colors[1]).abs().mean() for color in (colors[0], output.color))
    assert float(error) < 0.2 * float(before)


def test_the_mean_stays_at_identity_if_it_is_anchored(output):
    free, anchored = learner(), learner(is_anchored=True)
    for ours in (free, anchored):
        fit(ours, output, last=40)
    torch.testing.assert_close(anchored.matrices.detach().mean(0), identity())
    assert float((free.matrices.detach().mean(0) - identity()).abs().max()) > 0.01


def test_the_rate_follows_the_schedule_with_its_delay():
    options = replace(
        OPTIONS,
        exposure_lr_init=0.001,
        exposure_lr_final=0.0001,
        exposure_lr_delay_steps=50,
        exposure_lr_delay_mult=0.001,
    )
    ours = learner(options=options)
    for iteration in (1, 25, 50, 200):
        ours.prepare(iteration)
        expected = exponential_rate(iteration, 0.001, 0.0001, 200, 50, 0.001)
        assert ours.optimizer.param_groups[0]["lr"] == expected
    assert ours.optimizer.param_groups[0]["eps"] == 1e-8


def test_a_restored_learner_goes_on_bit_for_bit(output):
    whole, first, second = learner(is_anchored=True), learner(is_anchored=True), learner(is_anchored=True)
    fit(whole, output, 1, 40)
    fit(first, output, 1, 17)
    second.load_state_dict(first.state_dict())
    fit(second, output, 18, 40)
    assert torch.equal(whole.matrices, second.matrices)


def test_exposures_of_other_pictures_are_refused():
    with pytest.raises(UserError, match="3 pictures that are not the 2"):
        learner().load_state_dict(learner(("a.png", "b.png", "c.png")).state_dict())


def test_saving(tmp_path):
    ours = learner()
    with torch.no_grad():
        ours.matrices[1] = TRUE
    ours.save(tmp_path)
    found = Exposures.load(tmp_path)
    assert list(found.by_name) == ["a.png", "b.png"] and torch.equal(found.of("b.png"), TRUE)
