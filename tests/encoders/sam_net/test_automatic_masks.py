from dataclasses import replace

import numpy as np
import pytest
import torch

from encoders.sam_net.automatic_masks import (
    AutomaticMask,
    AutomaticOptions,
    automatic_masks,
    bounding_box,
    point_grid,
    remove_small_regions,
    stability,
    without_small_regions,
)
from encoders.sam_net.decoder import Prompts
from encoders.sam_net.frame import Frame

SIZE = (200, 100)
DISCS = [(60.0, 50.0, 30.0, 0.95), (150.0, 40.0, 20.0, 0.93)]  # x, y, radius px, expected IoU
EMBEDDING = torch.zeros(256, 64, 64)


class DiscDecoder:
    """Knows discs: a point in one gets that disc, a blurred copy and a poor one; other points get poor masks."""

    def __init__(self, steepness: float = 1.0) -> None:
        self.steepness, self.asked = steepness, 0

    def logits(self, embedding: torch.Tensor, prompts: Prompts, size: tuple[int, int], multimask: bool = False):
        assert multimask and size == SIZE
        self.asked += len(prompts)
        scale = size[0] / Frame(*size).shown[0] * 4
        y, x = torch.meshgrid((torch.arange(256) + 0.5) * scale, (torch.arange(256) + 0.5) * scale, indexing="ij")
        logits, ious = torch.full((len(prompts), 3, 256, 256), -9.0), torch.full((len(prompts), 3), 0.5)
        for index, (px, py) in enumerate(prompts.points[:, 0].tolist()):
            for cx, cy, radius, iou in DISCS:
                if (px - cx) ** 2 + (py - cy) ** 2 < radius**2:
                    inside = radius - ((x - cx) ** 2 + (y - cy) ** 2).sqrt()
                    logits[index, 0], ious[index, 0] = 20 * self.steepness * inside, iou
                    logits[index, 1], ious[index, 1] = 0.1 * inside, iou + 0.01  # unstable
        return logits, ious


def test_every_object_is_found_once_best_first():
    decoder = DiscDecoder()
    masks = automatic_masks(decoder, EMBEDDING, SIZE, AutomaticOptions(points_per_side=6, batch=20))
    assert decoder.asked == 36
    assert [round(mask.predicted_iou, 3) for mask in masks] == [0.95, 0.93]
    y, x = np.mgrid[:100, :200] + 0.5
    for mask, (cx, cy, radius, _) in zip(masks, DISCS, strict=True):
        disc = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        union = (mask.segmentation | disc).sum()
        assert mask.segmentation.shape == (100, 200) and (mask.segmentation & disc).sum() / union > 0.97
        assert mask.stability_score > 0.95 and mask.area == mask.segmentation.sum()
        assert mask.bbox == pytest.approx((cx - radius, cy - radius, 2 * radius, 2 * radius), abs=2)
        assert (mask.point[0] - cx) ** 2 + (mask.point[1] - cy) ** 2 < radius**2


def test_thresholds_drop_masks():
    options = AutomaticOptions(points_per_side=4)
    assert len(automatic_masks(DiscDecoder(), EMBEDDING, SIZE, replace(options, min_iou=0.94))) == 1
    assert automatic_masks(DiscDecoder(steepness=0.001), EMBEDDING, SIZE, options) == []
    assert automatic_masks(DiscDecoder(), EMBEDDING, SIZE, replace(options, min_iou=1.0)) == []


def test_masks_in_the_padding_do_not_count():
    class BelowThePicture(DiscDecoder):
        def logits(self, embedding, prompts, size, multimask=False):
            logits = torch.full((len(prompts), 3, 256, 256), -9.0)
            logits[:, :, 200:] = 9.0  # the picture ends in row 128
            return logits, torch.ones(len(prompts), 3)

    assert automatic_masks(BelowThePicture(), EMBEDDING, SIZE, AutomaticOptions(points_per_side=2)) == []


def test_the_real_decoder_can_be_asked(decoder, embedding):
    options = AutomaticOptions(points_per_side=2, min_iou=-9, min_stability=0)
    masks = automatic_masks(decoder, embedding, (90, 60), options)
    assert masks and all(mask.segmentation.shape == (60, 90) for mask in masks)


def test_the_grid_has_the_centres_of_equal_parts():
    assert point_grid((8, 4), 2).tolist() == [[2, 1], [6, 1], [2, 3], [6, 3]]
    with pytest.raises(ValueError, match="points_per_side is 0"):
        automatic_masks(DiscDecoder(), EMBEDDING, SIZE, AutomaticOptions(points_per_side=0))


def test_stability_is_an_iou():
    logits = torch.tensor([[[2.0, 2.0, 0.0, -2.0]], [[-5.0] * 4]])
    assert stability(logits).tolist() == [pytest.approx(2 / 3), 0]


def test_small_holes_and_islands_go():
    mask = np.zeros((20, 20), bool)
    mask[2:12, 2:12] = True
    expected = mask.copy()
    mask[5, 5] = mask[6, 6] = False  # one hole of two pixels: corners count as neighbours
    mask[16, 16] = True
    assert (remove_small_regions(mask, 3) == expected).all()
    assert (remove_small_regions(mask, 1) == mask).all()
    assert remove_small_regions(mask, 1000).any()  # the largest island stays


def test_cleaned_masks_that_became_alike_are_one():
    clean = np.zeros((20, 20), bool)
    clean[2:12, 2:12] = True
    speckled = clean.copy()
    speckled[18, 18] = True
    masks = [AutomaticMask(m, bounding_box(m), 0.9, 1.0, (5.0, 5.0)) for m in (speckled, clean)]
    kept = without_small_regions(masks, AutomaticOptions(min_region_px=4))
    assert len(kept) == 1 and (kept[0].segmentation == clean).all() and kept[0].bbox == (2, 2, 10, 10)
    assert without_small_regions([], AutomaticOptions(min_region_px=4)) == []
