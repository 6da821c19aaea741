"""training/losses.py"""

import pytest
import torch

from training.losses import LOSSES, image_losses, photometric_weights, weighted_sum

IMAGE, TARGET = torch.rand(3, 12, 16), torch.rand(3, 12, 16)


@pytest.mark.parametrize("name", ["l1", "l2", "dssim"])
def test_ignored_pixels_do_not_count(name):
    weight = torch.ones(1, 12, 16)
    weight[:, :, 8:] = 0.0
    other = torch.where(weight.bool(), TARGET, torch.rand_like(TARGET))
    loss = LOSSES.get(name)
    torch.testing.assert_close(loss(IMAGE, TARGET, weight), loss(IMAGE, other, weight))
    assert loss(IMAGE, TARGET, weight) != loss(IMAGE, TARGET)


@pytest.mark.parametrize("name", ["l1", "l2", "dssim", "cosine"])
def test_zero_for_equal_maps_and_positive_otherwise(name):
    loss = LOSSES.get(name)
    assert float(loss(TARGET, TARGET)) == pytest.approx(0.0, abs=1e-5)
    assert float(loss(IMAGE, TARGET)) > 1e-3


def test_cosine_ignores_length():
    loss = LOSSES.get("cosine")
    torch.testing.assert_close(loss(3.0 * IMAGE, TARGET), loss(IMAGE, TARGET))


def test_photometric_loss_is_the_formula_of_3dgs():
    losses = image_losses(IMAGE, TARGET)
    expected = 0.8 * (IMAGE - TARGET).abs().mean() + 0.2 * LOSSES.get("dssim")(IMAGE, TARGET)
    torch.testing.assert_close(weighted_sum(losses, photometric_weights(0.2)), expected)


def test_a_term_without_weight_counts_once():
    assert float(weighted_sum({"a": torch.tensor(2.0), "b": torch.tensor(3.0)}, {"a": 0.5})) == pytest.approx(4.0)


def test_unknown_loss_lists_the_known_ones():
    with pytest.raises(ValueError, match="l1"):
        LOSSES.get("l11")
