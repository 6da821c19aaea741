import math

import numpy as np
import pytest
import torch

from utils.metrics import accuracy, iou, psnr


def test_psnr_of_a_known_error():
    image = torch.rand(3, 4, 5)
    assert psnr(image, image + 0.1) == pytest.approx(20.0, abs=1e-4)
    assert psnr(image.numpy(), image) == math.inf


def test_psnr_weight_hides_pixels_and_scales_out():
    a, b = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    b[:, :2] = 0.1
    b[:, 2:] = 0.9
    weight = torch.zeros(1, 4, 4)
    weight[:, :2] = 0.5
    assert psnr(a, b, weight) == pytest.approx(20.0, abs=1e-4)
    assert math.isnan(psnr(a, b, torch.zeros(1, 4, 4)))


def test_iou_is_symmetric_bounded_and_exact():
    a = np.zeros((4, 4), dtype=np.uint8)
    b = torch.zeros(4, 4)
    a[:2], b[1:3] = 255, 1
    assert iou(a, b) == iou(b, a) == pytest.approx(1 / 3)
    assert iou(a, a) == 1.0 and iou(a, 1 - (a > 0)) == 0.0 and iou(np.zeros((2, 2)), np.zeros((2, 2))) == 1.0
    assert iou(a, b, valid=np.arange(16).reshape(4, 4) // 4 == 1) == 1.0


def test_accuracy_of_label_maps():
    labels, target = np.array([[1, 1], [2, 2]]), np.array([[1, 2], [2, 2]])
    assert accuracy(labels, target) == 0.75
    assert accuracy(labels, target, valid=np.array([[1, 0], [1, 1]])) == 1.0
    assert math.isnan(accuracy(labels, target, valid=np.zeros((2, 2))))


@pytest.mark.parametrize("function", [psnr, iou, accuracy])
def test_shapes_must_agree(function):
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(2, 3\) differ"):
        function(np.zeros((2, 2)), np.zeros((2, 3)))
