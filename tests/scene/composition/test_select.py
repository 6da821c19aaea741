"""Which Gaussians of a model are meant."""

import numpy as np
import pytest
import torch

from scene.composition.select import Choice, Source, chosen_mask
from tests.blobs import blob_labels, blob_model
from tests.moving_blobs import TRAVEL, moving_blobs
from utils.errors import UserError

LABELS = blob_labels()


def mask(*choices, source=None, time=0.0):
    return chosen_mask(source or Source(blob_model()), choices, time)


def test_all_boxes_numbers_and_their_union():
    assert mask(Choice("all")).all()
    left = Choice("box", ((-2.0, -1.0, -1.0), (-0.3, 1.0, 1.0)))
    assert torch.equal(mask(left), LABELS == 0)
    assert torch.equal(torch.nonzero(mask(Choice("gaussians", (3, 119))))[:, 0], torch.tensor([3, 119]))
    assert mask(left, Choice("gaussians", (119,))).sum() == 41


def test_a_box_looks_at_its_moment():
    high = Choice("box", ((-9.0, -9.0, -9.0), (9.0, -TRAVEL + 0.5, 9.0)))
    source = Source(moving_blobs())
    assert mask(high, source=source, time=0.0).sum() < 5
    assert torch.equal(mask(high, source=source, time=1.0) & (LABELS == 0), LABELS == 0)


def test_selections_are_read_from_the_model_folder(tmp_path):
    folder = tmp_path / "segment" / "red"
    folder.mkdir(parents=True)
    np.savez(folder / "selection.npz", mask=(LABELS == 0).numpy())
    source = Source(blob_model(), tmp_path)
    assert torch.equal(mask(Choice("selection", "red"), source=source), LABELS == 0)
    assert torch.equal(mask(Choice("file", str(folder / "selection.npz"))), LABELS == 0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mask": np.zeros(3, bool)}, "expected 120 bools"),
        ({"mask": np.zeros(120)}, "expected 120 bools"),
        ({"other": np.zeros(3)}, "no selection"),
        ({"mask": np.array([print], dtype=object)}, "no selection"),
    ],
)
def test_other_files_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "selection.npz", **arrays)
    with pytest.raises(UserError, match=message):
        mask(Choice("file", str(tmp_path / "selection.npz")))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice("foreground"), "only tracked models know it"),
        (Choice("selection", "x"), "a splat file has no selections"),
        (Choice("file", "nowhere.npz"), "no such file"),
        (Choice("gaussians", (120,)), "expected numbers below 120"),
    ],
)
def test_what_is_not_there_is_said(choice, message):
    with pytest.raises(UserError, match=message):
        mask(choice)
