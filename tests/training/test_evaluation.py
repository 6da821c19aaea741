"""training/evaluation.py"""

import pytest
import torch

from scene.image_store import GroundTruth
from training.evaluation import describe_quality, evaluate, image_psnr, train_sample
from utils.metrics import psnr

IMAGE, TARGET = torch.rand(3, 16, 20), torch.rand(3, 16, 20)
HALF = torch.cat([torch.ones(1, 16, 10), torch.zeros(1, 16, 10)], 2)


@pytest.mark.parametrize("weight", [None, HALF])
def test_psnr_on_the_device_is_psnr(weight):
    assert image_psnr(IMAGE, GroundTruth(TARGET, None, weight)) == pytest.approx(psnr(IMAGE, TARGET, weight), abs=1e-4)


def test_quality_in_words():
    figures = {"psnr": 30.314, "ssim": 0.92, "l1": 0.018, "label_accuracy": 0.9783}
    assert describe_quality(figures) == "PSNR 30.31 dB, SSIM 0.9200, L1 0.0180, labels 97.83 % right"


def test_renders_are_clamped():
    truth = GroundTruth(torch.ones(3, 16, 20), None, None)
    figures = evaluate(["view"], lambda _: torch.full((3, 16, 20), 7.0), lambda _: truth, backend="reference")
    assert figures["l1"] == 0.0 and figures["psnr"] == float("inf") and figures["ssim"] == pytest.approx(1.0)


def test_means_over_views():
    truths = {0: GroundTruth(TARGET, None, None), 1: GroundTruth(TARGET, None, None)}
    draws = {0: TARGET + 0.1, 1: TARGET + 0.01}
    clamped = {view: image.clamp(0, 1) for view, image in draws.items()}
    figures = evaluate([0, 1], draws.get, truths.get, backend="reference")
    expected = sum(psnr(image, TARGET) for image in clamped.values()) / 2
    assert figures["psnr"] == pytest.approx(expected, abs=1e-4)


def test_train_sample_has_no_duplicates():
    assert train_sample(list(range(30))) == [5, 10, 15, 20, 25]
    assert train_sample(list(range(7))) == [1, 3, 4, 5, 6]
    assert train_sample([0]) == [0]
