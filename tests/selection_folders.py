"""A selection as segment.py leaves it, and its true labels, written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from utils.files import write_json
from utils.image_io import write_png


def write_masks(run: Path, labels: Path, views: dict[str, str]) -> None:
    """Label 2 fills columns 0-9 of 20, the mask columns 0-11; row 0 is to be ignored."""
    truth, mask = np.zeros((10, 20), np.uint8), np.zeros((10, 20), np.uint8)
    truth[:, :10], truth[0], mask[:, :12] = 2, 255, 255
    for key in views:
        write_png(labels / f"{key}.png", truth)
        write_png(run / "segment" / "toy" / "masks" / f"{key}.png", mask)
    write_json(labels / "classes.json", {"0": "nothing", "2": "toy"})
    rows = [{"key": key, "image_name": f"{key}.jpg", "split": split} for key, split in views.items()]
    click = {"click_view": "a", "click_size": [20, 10], "points": [[3, 5]]}
    write_json(run / "segment" / "toy" / "selection.json", click | {"views": rows})
