"""training/losses.py"""

from types import SimpleNamespace

import ndraster
import pytest
import torch

from scene.image_store import GroundTruth
from training.losses import compared, image_loss, l1_loss, weighted_sum

IMAGE, TARGET = torch.rand(3, 12, 16), torch.rand(3, 12, 16)


def photometric(image, target, weight=None):
    return image_loss(image, target, 0.2, weight)


@pytest.mark.parametrize("loss", [l1_loss, photometric])
def test_ignored_pixels_do_not_count(loss):
    weight = torch.ones(1, 12, 16)
    weight[:, :, 8:] = 0.0
    other = torch.where(weight.bool(), TARGET, torch.rand_like(TARGET))
    torch.testing.assert_close(loss(IMAGE, TARGET, weight), loss(IMAGE, other, weight))
    assert loss(IMAGE, TARGET, weight) != loss(IMAGE, TARGET)


@pytest.mark.parametrize("loss", [l1_loss, photometric])
def test_zero_for_equal_maps_and_positive_otherwise(loss):
    assert float(loss(TARGET, TARGET)) == pytest.approx(0.0, abs=1e-5)
    assert float(loss(IMAGE, TARGET)) > 1e-3


def test_photometric_loss_is_the_formula_of_3dgs():
    expected = 0.8 * (IMAGE - TARGET).abs().mean() + 0.2 * (1 - ndraster.ssim(IMAGE, TARGET))
    torch.testing.assert_close(photometric(IMAGE, TARGET), expected)


def test_a_term_without_weight_counts_once():
    assert float(weighted_sum({"a": torch.tensor(2.0), "b": torch.tensor(3.0)}, {"a": 0.5})) == pytest.approx(4.0)


def test_alpha_is_a_fourth_channel_with_an_equal_share():
    output = SimpleNamespace(color=IMAGE, alpha=torch.rand(1, 12, 16, requires_grad=True))
    truth = GroundTruth(TARGET, torch.rand(1, 12, 16), None)
    loss = photometric(*compared(output, truth, with_alpha=True))
    parts = (photometric(IMAGE, TARGET), photometric(output.alpha, truth.alpha))
    torch.testing.assert_close(loss, 0.75 * parts[0] + 0.25 * parts[1])
    loss.backward()
    assert bool((output.alpha.grad != 0).any())
    assert compared(output, truth, with_alpha=False) == (IMAGE, TARGET)
    assert compared(output, GroundTruth(TARGET, None, None), with_alpha=True) == (IMAGE, TARGET)
