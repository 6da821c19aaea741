"""training/losses.py"""

import ndraster
import pytest
import torch

from training.losses import image_loss, l1_loss, weighted_sum

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
